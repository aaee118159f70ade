#include "image/manifest.h"

#include <sys/utsname.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "policy/names.h"

namespace bulkhead::image {
namespace {

using nlohmann::json;

constexpr const char* oci_index = "application/vnd.oci.image.index.v1+json";
constexpr const char* docker_index = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr const char* oci_manifest = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* name_key = "org.opencontainers.image.ref.name";
constexpr std::size_t max_layers = 512;
constexpr std::size_t max_descriptors = 1024;

std::string shown(const std::string& text) {
  return "\"" + escape_for_terminal(text, 200) + "\"";
}

Result<json> object_of(std::string_view text, const char* what) {
  if (text.size() > max_json) return fail(std::string("its ") + what + " is larger than 4 MB");
  json out = json::parse(text, nullptr, false);
  if (!out.is_object()) return fail(std::string("its ") + what + " is no JSON object");
  return out;
}

std::string string_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const json& object_at(const json& object, const char* key) {
  static const json none = json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : none;
}

Result<Descriptor> descriptor_of(const json& object) {
  if (!object.is_object()) return fail("it holds a descriptor that is no JSON object");
  Descriptor out;
  out.type = string_at(object, "mediaType");
  const std::string digest = string_at(object, "digest");
  const bool known = digest.starts_with("sha256:") && digest.size() == 7 + 64 &&
                     digest.find_first_not_of("0123456789abcdef", 7) == std::string::npos;
  if (!known) return fail("it names something by " + shown(digest) + ", which is no SHA-256 digest");
  out.digest = digest.substr(7);
  const auto size = object.find("size");
  if (size == object.end() || !size->is_number_unsigned()) return fail("it holds a descriptor without a size");
  out.size = size->get<std::uint64_t>();
  const json& platform = object_at(object, "platform");
  out.architecture = string_at(platform, "architecture");
  out.os = string_at(platform, "os");
  out.name = string_at(object_at(object, "annotations"), name_key);
  return out;
}

Result<std::vector<Descriptor>> descriptors_at(const json& object, const char* key, std::size_t most) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return fail(std::string("it has no list of ") + key);
  if (found->size() > most) return fail(std::string("it has more than ") + std::to_string(most) + " " + key);
  std::vector<Descriptor> out;
  for (const json& one : *found) {
    BH_TRY(Descriptor descriptor, descriptor_of(one));
    out.push_back(std::move(descriptor));
  }
  return out;
}

bool for_this_machine(const Descriptor& one) {
  return one.architecture == this_architecture() && one.os == "linux";
}

std::string listed(const std::set<std::string>& words) {
  std::vector<std::string> out;
  for (const std::string& word : words) out.push_back(escape_for_terminal(word, 100));
  const std::size_t count = out.size();
  if (count > 10) out.resize(10);
  return join(out, ", ") + (count > 10 ? " and more" : "");
}

bool is_layer(const std::string& type) {
  return type == "application/vnd.oci.image.layer.v1.tar" || type == "application/vnd.oci.image.layer.v1.tar+gzip";
}

}  // namespace

std::string this_architecture() {
  utsname name{};
  ::uname(&name);
  std::string machine = name.machine;
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;  // riscv64, ppc64le, s390x: the same word
}

bool is_index(const Descriptor& descriptor) {
  return descriptor.type == oci_index || descriptor.type == docker_index;
}

bool is_manifest(const Descriptor& descriptor) {
  return descriptor.type == oci_manifest;
}

Result<std::vector<Descriptor>> read_index(std::string_view text) {
  BH_TRY(const json index, object_of(text, "index"));
  return descriptors_at(index, "manifests", max_descriptors);
}

Result<Descriptor> choose(const std::vector<Descriptor>& from, const std::string& name) {
  std::vector<Descriptor> left;
  std::set<std::string> names, platforms;
  for (const Descriptor& one : from) {
    if (!one.name.empty()) names.insert(one.name);
    if (name.empty() || one.name == name) left.push_back(one);
  }
  if (!name.empty() && left.empty()) {
    return fail("there is no " + shown(name) + " in it; " +
                (names.empty() ? "what it holds has no name, so leave that out" : "it has " + listed(names)));
  }
  if (name.empty() && names.size() > 1) {
    return fail("it holds several images; write one of them behind a colon: " + listed(names));
  }
  if (left.size() == 1) return left.front();
  for (const Descriptor& one : left) {
    if (for_this_machine(one)) return one;
    if (!one.architecture.empty()) platforms.insert(one.os + "/" + one.architecture);
  }
  return fail("there is no image for linux/" + this_architecture() + " in it" +
              (platforms.empty() ? "" : "; it has " + listed(platforms)));
}

Result<Manifest> read_manifest(std::string_view text) {
  BH_TRY(const json object, object_of(text, "manifest"));
  Manifest out;
  const auto config = object.find("config");
  if (config == object.end()) return fail("its manifest has no config");
  BH_TRY(out.config, descriptor_of(*config));
  if (out.config.type != "application/vnd.oci.image.config.v1+json") {
    return fail("it is no image: its config is of type " + shown(out.config.type));
  }
  BH_TRY(out.layers, descriptors_at(object, "layers", max_layers));
  if (out.layers.empty()) return fail("it has no layers");
  for (const Descriptor& layer : out.layers) {
    if (is_layer(layer.type)) continue;
    return fail("it has a layer of type " + shown(layer.type) +
                ", and only plain and gzip ones can be unpacked; `skopeo copy --dest-compress-format gzip "
                "--dest-force-compress-format` makes such");
  }
  return out;
}

Result<Config> read_config(std::string_view text) {
  BH_TRY(const json object, object_of(text, "config"));
  const std::string os = string_at(object, "os"), architecture = string_at(object, "architecture");
  if (os != "linux" || architecture != this_architecture()) {
    return fail("it is for " + escape_for_terminal(os, 50) + "/" + escape_for_terminal(architecture, 50) +
                ", and this machine is linux/" + this_architecture());
  }
  Config out;
  const json& settings = object_at(object, "config");
  const auto list = settings.find("Env");
  if (list == settings.end() || !list->is_array()) return out;
  for (const json& one : *list) {
    if (!one.is_string()) continue;
    const std::string entry = one.get<std::string>();
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || !check_variable(entry.substr(0, equals))) continue;
    if (entry.find('\0') != std::string::npos || entry.size() > 64U << 10) continue;
    out.environment[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return out;
}

std::string index_for(const Descriptor& manifest) {
  const json one = {{"mediaType", oci_manifest},
                    {"digest", "sha256:" + manifest.digest},
                    {"size", manifest.size},
                    {"annotations", {{name_key, "image"}}}};
  return json{{"schemaVersion", 2}, {"manifests", json::array({one})}}.dump();
}

}  // namespace bulkhead::image
