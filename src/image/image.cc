#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/text.h"
#include "image/blobs.h"
#include "image/cache.h"
#include "image/manifest.h"
#include "image/reference.h"
#include "image/seal.h"
#include "image/unpack.h"
#include "policy/units.h"

namespace bulkhead::image {
namespace {

constexpr int max_indexes = 4;  // in each other

// Down to the manifest that is meant, which is not read yet.
Result<Descriptor> find_manifest(Blobs& blobs, const std::string& name) {
  BH_TRY(const std::string text, blobs.index());
  BH_TRY(std::vector<Descriptor> list, read_index(text));
  std::string wanted = name;
  for (int i = 0; i < max_indexes; ++i) {
    BH_TRY(Descriptor chosen, choose(list, wanted));
    if (is_manifest(chosen)) return chosen;
    if (!is_index(chosen)) {
      return fail("it holds something of type \"" + escape_for_terminal(chosen.type, 200) +
                  "\", which is no OCI image");
    }
    BH_TRY(const std::string below, blobs.text(chosen));
    BH_TRY(list, read_index(below));
    wanted.clear();
  }
  return fail("its indexes name each other without an end");
}

// What umoci gets: nothing that was not verified, and no other name than ours.
Result<Config> make_layout(Blobs& blobs, const Descriptor& manifest, const std::string& folder, const Bounds& bounds) {
  BH_CHECK(sys::make_directories(folder + "/blobs/sha256", 0755));
  BH_TRY(const UniqueFd layout, sys::open(folder, O_RDONLY | O_DIRECTORY));
  BH_TRY(const UniqueFd into, sys::open(folder + "/blobs/sha256", O_RDONLY | O_DIRECTORY));
  BH_TRY(const std::string text, blobs.text(manifest));
  BH_TRY(const Manifest read, read_manifest(text));
  BH_TRY(const std::string config_text, blobs.text(read.config));
  BH_TRY(Config config, read_config(config_text));
  std::uint64_t bytes = 0;
  for (const Descriptor& layer : read.layers) {
    if (layer.size > bounds.bytes || (bytes += layer.size) > bounds.bytes) {
      return fail("its layers are larger than " + size_text(bounds.bytes) + ", which is the most it may be; " +
                  "`image_size` in [limits] says so");
    }
  }
  BH_CHECK(blobs.copy(manifest, into.get(), manifest.digest));
  BH_CHECK(blobs.copy(read.config, into.get(), read.config.digest));
  for (const Descriptor& layer : read.layers) {
    // One layer may be there twice.
    if (::faccessat(into.get(), layer.digest.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) continue;
    BH_CHECK(blobs.copy(layer, into.get(), layer.digest));
  }
  BH_CHECK(sys::replace_at(layout.get(), "oci-layout", R"({"imageLayoutVersion":"1.0.0"})", 0644));
  BH_CHECK(sys::replace_at(layout.get(), "index.json", index_for(manifest), 0644));
  return config;
}

// What is made can be read by the uid that unpacks it, whatever the caller's mask is; nobody else gets that far.
class Readable {
 public:
  Readable() : before_(::umask(022)) {}
  ~Readable() { ::umask(before_); }
  Readable(const Readable&) = delete;
  Readable& operator=(const Readable&) = delete;

 private:
  const mode_t before_;
};

Result<Entry> make(const Cache& cache, Blobs& blobs, const Descriptor& manifest, const Bounds& bounds,
                   const std::string& from) {
  const Readable mask;
  BH_TRY(const std::string folder, cache.begin(manifest.digest));
  BH_TRY(const Config config, make_layout(blobs, manifest, folder + "/layout", bounds));
  BH_CHECK(sys::make_directories(folder + "/out", 0700));
  BH_CHECK(unpack(folder + "/layout", folder + "/out", bounds));
  BH_TRY(const UniqueFd made, sys::open(folder, O_RDONLY | O_DIRECTORY));
  BH_TRY(const UniqueFd out, sys::open_at(made.get(), "out", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BH_TRY(const UniqueFd root, sys::open_at(out.get(), "root", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BH_TRY(const Size size, seal(root.get(), bounds));
  if (::renameat(out.get(), "root", made.get(), "root") != 0) return fail_errno("rename", "root", errno);
  BH_CHECK(sys::remove_tree(made.get(), "out"));
  BH_CHECK(sys::remove_tree(made.get(), "layout"));
  return cache.finish(manifest.digest,
                      {.folder = "", .environment = config.environment, .size = size, .from = from, .use = {}});
}

Result<Entry> made_once(const Cache& cache, Blobs& blobs, const Descriptor& manifest, const Bounds& bounds,
                        const std::string& from) {
  BH_TRY(const UniqueFd lock, cache.lock(manifest.digest));
  BH_TRY(auto found, cache.find(manifest.digest));
  if (found) return std::move(*found);
  auto entry = make(cache, blobs, manifest, bounds, from);
  if (!entry) cache.abandon(manifest.digest);
  return entry;
}

// It may have been made under wider bounds.
Result<void> judge_size(const Entry& entry, const Bounds& bounds) {
  if (entry.size.bytes > bounds.bytes) return too_large(bounds);
  if (entry.size.files > bounds.files) return too_many_files(bounds);
  return {};
}

Result<Image> open_packed(const Reference& reference, const Wanted& wanted) {
  BH_TRY(const std::unique_ptr<Blobs> blobs, Blobs::open(reference));
  BH_TRY(const Descriptor manifest, find_manifest(*blobs, reference.name));
  Image out{.path = reference.path, .folder = "", .digest = "sha256:" + manifest.digest, .environment = {}, .use = {}};
  const auto cache = Cache::open(wanted.cache, wanted.unpack);
  if (!cache && !wanted.unpack && cache.error().code == ENOENT) return out;
  if (!cache) return tl::unexpected(cache.error());
  BH_TRY(std::optional<Entry> entry, cache->find(manifest.digest));
  if (!entry && !wanted.unpack) return out;
  if (!entry) {
    BH_TRY(entry, made_once(*cache, *blobs, manifest, wanted.bounds, reference.path));
  }
  BH_CHECK(judge_size(*entry, wanted.bounds));
  if (wanted.unpack) cache->mark_used(*entry);
  out.folder = entry->folder;
  out.use = std::move(entry->use);
  out.environment = std::move(entry->environment);
  return out;
}

}  // namespace

Result<Image> open(const Wanted& wanted) {
  BH_TRY(const Reference reference, reference_of(wanted.path));
  if (reference.kind == Reference::Kind::folder) {
    return Image{.path = reference.path, .folder = reference.path, .digest = "", .environment = {}, .use = {}};
  }
  auto image = open_packed(reference, wanted);
  if (image) return image;
  return tl::unexpected(std::move(image).error().with("image \"" + escape_for_terminal(wanted.path) + "\""));
}

}  // namespace bulkhead::image
