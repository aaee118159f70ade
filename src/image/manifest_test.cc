#include "image/manifest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bulkhead::image {
namespace {

using nlohmann::json;

const std::string digest = "sha256:" + std::string(64, 'a');

json descriptor(const std::string& type = "application/vnd.oci.image.manifest.v1+json") {
  return {{"mediaType", type}, {"digest", digest}, {"size", 10}};
}

json named(json one, const std::string& name) {
  one["annotations"] = {{"org.opencontainers.image.ref.name", name}};
  return one;
}

json on(json one, const std::string& architecture) {
  one["platform"] = {{"os", "linux"}, {"architecture", architecture}};
  return one;
}

std::string index_of(const json& list) {
  return json{{"schemaVersion", 2}, {"manifests", list}}.dump();
}

std::string error_of(const json& list, const std::string& name = "") {
  const auto read = read_index(index_of(list));
  if (!read) return read.error().message;
  const auto chosen = choose(*read, name);
  return chosen ? "" : chosen.error().message;
}

TEST(Index, IsReadStrictly) {
  EXPECT_EQ(error_of(json::array({descriptor()})), "");
  for (const char* text : {"", "[]", "{}", "{\"manifests\":{}}", "{\"manifests\":[1]}", "{\"manifests\":[{}]}"}) {
    EXPECT_FALSE(read_index(text)) << text;
  }
  for (const std::string& wrong :
       {std::string("sha512:") + std::string(64, 'a'), "sha256:" + std::string(64, 'A'),
        "sha256:" + std::string(63, 'a'), "sha256:../../../../etc/passwd" + std::string(42, 'a')}) {
    json one = descriptor();
    one["digest"] = wrong;
    EXPECT_FALSE(read_index(index_of(json::array({one})))) << wrong;
  }
  for (const json& wrong : {json(-1), json("10"), json(1.5)}) {
    json one = descriptor();
    one["size"] = wrong;
    EXPECT_FALSE(read_index(index_of(json::array({one})))) << wrong;
  }
}

TEST(Index, WhatIsMeant) {
  const json two = json::array({named(descriptor(), "v1"), named(descriptor(), "v2")});
  EXPECT_EQ(error_of(two, "v2"), "");
  EXPECT_NE(error_of(two).find("v1, v2"), std::string::npos);
  EXPECT_NE(error_of(two, "v3").find("v1, v2"), std::string::npos);
  EXPECT_NE(error_of(json::array({descriptor()}), "v1").find("leave that out"), std::string::npos);
  const std::string mine = this_architecture();
  EXPECT_EQ(error_of(json::array({on(descriptor(), "s390x"), on(descriptor(), mine)})), "");
  EXPECT_NE(error_of(json::array({on(descriptor(), "s390x"), on(descriptor(), "unknown")})).find("s390x"),
            std::string::npos);
  EXPECT_NE(error_of(json::array()), "");
}

TEST(Index, NamesAreEscaped) {
  const std::string said = error_of(json::array({named(descriptor(), "a\x1b[2J"), named(descriptor(), "b")}));
  EXPECT_EQ(said.find('\x1b'), std::string::npos);
}

TEST(Manifest, LayersThatCanBeUnpacked) {
  const auto with = [](const std::string& type) {
    return read_manifest(json{{"config", descriptor("application/vnd.oci.image.config.v1+json")},
                              {"layers", json::array({descriptor(type)})}}
                             .dump());
  };
  EXPECT_TRUE(with("application/vnd.oci.image.layer.v1.tar+gzip"));
  EXPECT_TRUE(with("application/vnd.oci.image.layer.v1.tar"));
  EXPECT_FALSE(with("application/vnd.oci.image.layer.v1.tar+zstd"));
  EXPECT_FALSE(with(""));
  EXPECT_FALSE(read_manifest(json{{"config", descriptor("application/x")}, {"layers", json::array()}}.dump()));
}

TEST(Config, EnvironmentAndPlatform) {
  const auto with = [](const json& list, const std::string& architecture = this_architecture()) {
    return read_config(json{{"os", "linux"}, {"architecture", architecture}, {"config", {{"Env", list}}}}.dump());
  };
  const auto read = with(json::array({"A=1", "B=x=y", "=1", "C", "D E=1", 7, std::string("F=a\0b", 5)}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->environment, (std::map<std::string, std::string>{{"A", "1"}, {"B", "x=y"}}));
  EXPECT_FALSE(with(json::array(), "s390x"));
  EXPECT_TRUE(with(json(nullptr)));
}

}  // namespace
}  // namespace bulkhead::image
