#include "image/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/filter.h"
#include "base/sys.h"
#include "policy/digest.h"

namespace bulkhead::image {
namespace {

using Sink = std::function<Result<void>(std::string_view)>;

constexpr auto patience = std::chrono::minutes(10);

class Folder final : public Blobs {
 public:
  explicit Folder(UniqueFd root) : root_(std::move(root)) {}

 private:
  Result<void> read(const std::string& path, std::uint64_t most, const Sink& sink) override {
    BH_TRY(const UniqueFd file, sys::open_at2(root_.get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                                              RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
    BH_TRY(const struct stat st, sys::stat_fd(file.get(), path));
    if (!S_ISREG(st.st_mode)) return fail(path + " is no regular file");
    std::string buffer(256 * 1024, '\0');
    for (std::uint64_t read = 0;;) {
      const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("read", path, errno);
      if (n == 0) return {};
      read += static_cast<std::uint64_t>(n);
      if (read > most) return fail(path + " is larger than it should be", EFBIG);
      BH_CHECK(sink(std::string_view(buffer.data(), static_cast<std::size_t>(n))));
    }
  }

  UniqueFd root_;
};

class Archive final : public Blobs {
 public:
  explicit Archive(UniqueFd file) : file_(std::move(file)) {}

 private:
  Result<void> read(const std::string& path, std::uint64_t most, const Sink& sink) override {
    // `tar -c .` writes its names so.
    const bool both = prefix_.empty();
    for (const std::string& prefix : both ? std::vector<std::string>{"", "./"} : std::vector<std::string>{prefix_}) {
      bool any = false;
      Filter tar;
      tar.places = {"/usr/bin/tar", "/bin/tar"};
      tar.arguments = {"tar",        "--extract",    "--to-stdout",    "--seek",
                       "--file=-",   "--occurrence", "--no-wildcards", "--no-recursion",
                       "--anchored", "--",           prefix + path};
      tar.file = file_.get();
      tar.most = most;
      tar.patience = patience;
      tar.sink = [&](std::string_view piece) {
        any = true;
        return sink(piece);
      };
      BH_TRY(const Filtered ended, run_filter(tar));
      if (ended.status == 0) {
        prefix_ = prefix;
        return {};
      }
      if (any) return fail("tar can't read " + path + " in it");
    }
    return fail("there is no " + path + " in it", ENOENT);
  }

  UniqueFd file_;
  std::string prefix_;
};

std::string path_of(const Descriptor& descriptor) {
  return "blobs/sha256/" + descriptor.digest;
}

tl::unexpected<Error> wrong(const Descriptor& descriptor) {
  return fail("what it holds as sha256:" + descriptor.digest +
              " is something else: it was damaged or tampered with; fetch it again");
}

}  // namespace

Result<std::unique_ptr<Blobs>> Blobs::open(const Reference& reference) {
  if (reference.kind == Reference::Kind::layout) {
    BH_TRY(UniqueFd root, sys::open(reference.path, O_PATH | O_DIRECTORY));
    return std::make_unique<Folder>(std::move(root));
  }
  BH_TRY(UniqueFd file, sys::open(reference.path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  BH_TRY(const struct stat st, sys::stat_fd(file.get(), reference.path));
  if (!S_ISREG(st.st_mode)) return fail("it is no regular file any more");
  return std::make_unique<Archive>(std::move(file));
}

Result<std::string> Blobs::index() {
  std::string out;
  auto done = read("index.json", max_json, [&](std::string_view piece) -> Result<void> {
    out += piece;
    return {};
  });
  if (!done && done.error().code == ENOENT) {
    return fail(
        "it has no index.json, so it is neither a folder to show nor an OCI layout or an (uncompressed) archive of "
        "one; `skopeo copy SOURCE oci-archive:FILE` makes such");
  }
  if (!done) return tl::unexpected(std::move(done).error());
  return out;
}

Result<std::string> Blobs::text(const Descriptor& descriptor) {
  if (descriptor.size > max_json) return fail("its JSON is larger than 4 MB");
  std::string out;
  BH_CHECK(read(path_of(descriptor), max_json, [&](std::string_view piece) -> Result<void> {
    out += piece;
    return {};
  }));
  if (out.size() != descriptor.size || sha256_hex(out) != descriptor.digest) return wrong(descriptor);
  return out;
}

Result<void> Blobs::copy(const Descriptor& descriptor, int folder, const std::string& name) {
  BH_TRY(const UniqueFd file, sys::open_at(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
  auto done = read(path_of(descriptor), descriptor.size,
                   [&](std::string_view piece) { return sys::write_all(file.get(), piece, name); });
  if (!done && done.error().code == EFBIG) return wrong(descriptor);
  BH_CHECK(std::move(done));
  BH_TRY(const struct stat st, sys::stat_fd(file.get(), name));
  if (static_cast<std::uint64_t>(st.st_size) != descriptor.size) return wrong(descriptor);
  BH_TRY(const std::string digest, sha256_hex_of(file.get(), descriptor.size));
  return digest == descriptor.digest ? Result<void>() : wrong(descriptor);
}

}  // namespace bulkhead::image
