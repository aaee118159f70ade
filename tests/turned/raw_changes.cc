#include "turned/raw_changes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

namespace bulkhead::turned {
namespace {

constexpr std::uint32_t everything = 0xffffffff;

std::uint64_t node_in(const Answer& answer) {
  return answer.error == 0 ? answer.as<fuse_entry_out>().nodeid : 0;
}

// Of nothing that was opened, if it was not.
std::uint64_t handle_in(const Answer& answer) {
  return answer.came && answer.error == 0 ? answer.as<fuse_open_out>().fh : ~0ULL;
}

fuse_setattr_in size_of(std::uint64_t size) {
  fuse_setattr_in in{};
  in.valid = FATTR_SIZE;
  in.size = size;
  return in;
}

fuse_setattr_in by_handle(fuse_setattr_in in, std::uint64_t handle) {
  in.valid |= FATTR_FH;
  in.fh = handle;
  return in;
}

// Names that no kernel sends, or that it follows itself.
const std::vector<std::string>& bad_names() {
  using namespace std::string_literals;
  static const std::vector<std::string> all = {"",
                                               ".",
                                               "..",
                                               "../escaped",
                                               "../../escaped",
                                               "../../../../../../../../escaped",
                                               "folder/../../escaped",
                                               "folder/escaped",
                                               "/escaped",
                                               "/tmp/escaped",
                                               "esc\0aped"s,
                                               "..\0/escaped"s,
                                               "link-folder/escaped",
                                               std::string(255, 'n'),
                                               std::string(4096, 'n'),
                                               std::string(70'000, 'n'),
                                               "\xff\xfe\x1b]0;x\x07",
                                               "escaped\n"};
  return all;
}

// Those have attempts of their own (raw_rings.cc).
bool may_end_it(std::uint32_t opcode) {
  constexpr std::array<std::uint32_t, 5> all = {FUSE_INIT, FUSE_DESTROY, FUSE_FORGET, FUSE_BATCH_FORGET,
                                                FUSE_INTERRUPT};
  return std::ranges::find(all, opcode) != all.end();
}

// One mount under attack.
class Attack {
 public:
  Attack(Fuse& fuse, Report& report, const Target& target) : fuse_(fuse), report_(report), at_(target) {}

  void sizes() {
    note("truncate by node", fuse_.set(victim(), size_of(0)));
    note("truncate to nonsense", fuse_.set(victim(), size_of(~0ULL)));
    std::uint64_t file = victim();
    for (const std::uint32_t flags : {O_RDONLY, O_RDWR}) {
      const std::string as = flags == O_RDONLY ? " opened to read" : " opened to write";
      const std::uint64_t handle = open(file, flags);
      note("truncate by handle" + as, fuse_.set(file, by_handle(size_of(0), handle)));
      note("write to handle" + as, fuse_.write(file, handle, "changed"));
      for (const std::uint32_t mode : {0U, 1U, 3U, 8U, 16U, everything}) {
        note("fallocate " + std::to_string(mode) + as, allocate(file, handle, mode));
      }
      release(file, handle);
      file = victim();
    }
    note("create with O_TRUNC what is there", make(fuse_.create(at_.node, last_, O_WRONLY | O_TRUNC, 0600)));
  }

  void opens() {
    const std::vector<std::uint32_t> all = {O_WRONLY,
                                            O_RDWR,
                                            O_ACCMODE,
                                            O_PATH | O_RDWR,
                                            O_WRONLY | O_APPEND,
                                            O_RDWR | O_DIRECT,
                                            O_RDWR | O_CREAT | O_TRUNC,
                                            O_RDONLY | O_TRUNC,
                                            O_RDWR | O_TRUNC,
                                            O_RDWR | O_NOFOLLOW,
                                            O_RDWR | O_ASYNC | O_NONBLOCK,
                                            O_RDWR | O_TMPFILE,
                                            O_WRONLY | O_DIRECTORY,
                                            O_RDONLY | O_NOATIME,
                                            everything};
    for (const std::uint32_t flags : all) {
      const std::uint64_t file = victim();
      use("open with " + std::to_string(flags), file, fuse_.open(file, flags));
      use("open the folder with " + std::to_string(flags), folder(), fuse_.open(folder(), flags));
      (void)make(fuse_.create(at_.node, "made-" + std::to_string(flags), flags, 0644));
      note("create with " + std::to_string(flags), last_answer_);
    }
  }

  void names() {
    for (const std::string& bad : bad_names()) {
      const std::string said = bad.size() > 60 ? std::to_string(bad.size()) + " bytes" : printable(bad);
      note("look up " + said, fuse_.look_up(at_.node, bad));
      note("create " + said, make(fuse_.create(at_.node, bad, O_RDWR, 0644)));
      note("mknod " + said, fuse_.ask(FUSE_MKNOD, at_.node, part(fuse_mknod_in{S_IFREG | 0644, 0, 0, 0}) + name(bad)));
      note("mkdir " + said, fuse_.ask(FUSE_MKDIR, at_.node, part(fuse_mkdir_in{0755, 0}) + name(bad)));
      note("symlink " + said, fuse_.ask(FUSE_SYMLINK, at_.node, name(bad) + name("/etc/passwd")));
      note("unlink " + said, fuse_.ask(FUSE_UNLINK, at_.node, name(bad)));
      note("rmdir " + said, fuse_.ask(FUSE_RMDIR, at_.node, name(bad)));
      note("rename from " + said, rename(bad, at_.node, "renamed"));
      (void)victim();
      note("rename to " + said, rename(last_, at_.node, bad));
      const std::uint64_t file = victim();
      note("link to " + said, fuse_.ask(FUSE_LINK, at_.node, part(fuse_link_in{file}) + name(bad)));
    }
    note("look up without an end", fuse_.ask(FUSE_LOOKUP, at_.node, std::string(300, 'e')));
    note("rename with one name", fuse_.ask(FUSE_RENAME, at_.node, part(fuse_rename_in{at_.node}) + name("f00")));
    note("create with half a head", fuse_.ask(FUSE_CREATE, at_.node, "1234"));
  }

  void nodes() {
    struct Kind {
      const char* called;
      std::uint32_t mode;
    };
    for (const Kind& kind :
         {Kind{"block", S_IFBLK | 0666}, Kind{"character", S_IFCHR | 0666}, Kind{"fifo", S_IFIFO | 0666},
          Kind{"set-id", S_IFREG | 06777}, Kind{"nonsense", everything}, Kind{"folder", S_IFDIR | 0777}}) {
      fuse_mknod_in in{kind.mode, 8U << 8U, 0, 0};
      note(std::string("mknod of kind ") + kind.called,
           fuse_.ask(FUSE_MKNOD, at_.node, part(in) + name(std::string("node-") + kind.called)));
    }
    for (const std::uint32_t uid : {0U, 1U, 1000U, 65534U, everything}) {
      const std::string as = " as " + std::to_string(uid);
      const Lies owner{.length = {}, .owner = uid};
      note("create" + as, make(fuse_.create(at_.node, "owned-" + std::to_string(uid), O_RDWR, 06777, owner)));
      note("mkdir" + as, fuse_.ask(FUSE_MKDIR, at_.node,
                                   part(fuse_mkdir_in{07777, 0}) + name("folder-of-" + std::to_string(uid)), owner));
      note("symlink" + as,
           fuse_.ask(FUSE_SYMLINK, at_.node, name("link-of-" + std::to_string(uid)) + name("/etc/passwd"), owner));
    }
  }

  void removals() {
    const std::uint64_t file = victim(), handle = open(file, O_RDWR);
    note("unlink", fuse_.ask(FUSE_UNLINK, at_.node, name(last_)));
    note("write to what was removed", fuse_.write(file, handle, "changed"));
    use("open what was removed", file, fuse_.open(file, O_RDWR | O_TRUNC));
    note("link what was removed", fuse_.ask(FUSE_LINK, at_.node, part(fuse_link_in{file}) + name("again")));
    note("rmdir of a file", fuse_.ask(FUSE_RMDIR, at_.node, name("f00")));
    note("unlink of a folder", fuse_.ask(FUSE_UNLINK, at_.node, name("folder")));
    note("rmdir of what is not empty", fuse_.ask(FUSE_RMDIR, at_.node, name("folder")));
    note("rmdir", fuse_.ask(FUSE_RMDIR, at_.node, name("empty")));
    note("unlink in a folder", fuse_.ask(FUSE_UNLINK, folder(), name("inner")));
    note("unlink in a file", fuse_.ask(FUSE_UNLINK, victim(), name("f00")));
    release(file, handle);
  }

  void renames() {
    for (const std::uint32_t flags : {0U, 1U, 2U, 3U, 4U, 6U, 8U, everything}) {
      const std::string as = " with " + std::to_string(flags);
      (void)victim();
      note("rename" + as, rename(last_, at_.node, "renamed-" + std::to_string(flags), flags));
      (void)victim();
      const std::string first = last_;
      (void)victim();
      note("rename over another" + as, rename(first, at_.node, last_, flags));
      (void)victim();
      note("rename into a folder" + as, rename(last_, folder(), "moved-" + std::to_string(flags), flags));
      note("rename a folder into itself" + as, rename("folder", folder(), "itself", flags));
      note("rename into a file" + as, rename("f00", victim(), "x", flags));
    }
  }

  void attributes() {
    const std::vector<std::uint32_t> modes = {06777, 0, 0644, everything};
    for (const std::uint32_t mode : modes) {
      fuse_setattr_in in{};
      in.valid = FATTR_MODE;
      in.mode = mode;
      note("mode " + std::to_string(mode), fuse_.set(victim(), in));
      const std::uint64_t file = victim(), handle = open(file, O_RDONLY);
      note("mode by handle " + std::to_string(mode), fuse_.set(file, by_handle(in, handle)));
      release(file, handle);
    }
    fuse_setattr_in in{};
    in.valid = FATTR_MODE;
    in.mode = 07777;
    note("mode of a folder", fuse_.set(folder(), in));
    in.mode = 0777;
    note("mode of the mount", fuse_.set(at_.node, in));
    in.mode = 0755;
    note("mode of the mount, back", fuse_.set(at_.node, in));
    for (const std::uint32_t owner : {0U, 1U, 1000U, 65534U}) {
      in = {};
      in.valid = FATTR_UID | FATTR_GID;
      in.uid = in.gid = owner;
      note("owner " + std::to_string(owner), fuse_.set(victim(), in));
      in.valid = FATTR_GID;
      note("group " + std::to_string(owner), fuse_.set(folder(), in));
    }
    for (const std::uint32_t part_of_second : {0U, 1'000'000'000U, everything}) {
      in = {};
      in.valid = FATTR_MTIME | FATTR_ATIME;
      in.mtime = in.atime = 1;
      in.mtimensec = in.atimensec = part_of_second;
      note("times " + std::to_string(part_of_second), fuse_.set(victim(), in));
    }
    in.mtimensec = 0;
    note("times of the mount", fuse_.set(at_.node, in));
    in = size_of(3);
    in.valid = everything;
    in.fh = ~0ULL;
    note("all at once, by no handle", fuse_.set(victim(), in));
    in.valid = everything & ~static_cast<std::uint32_t>(FATTR_FH);
    note("all at once", fuse_.set(victim(), in));
    for (const char* called : {"user.x", "security.capability", "security.selinux", "trusted.overlay.opaque",
                               "system.posix_acl_access", "user.overlay.opaque", "../x", "/proc/self/environ", ""}) {
      const std::string attribute(called);
      const std::uint64_t file = victim();
      note("set attribute " + attribute,
           fuse_.ask(FUSE_SETXATTR, file, part(std::array<std::uint32_t, 2>{3, 0}) + name(attribute) + "abc"));
      note("set attribute longer than sent " + attribute,
           fuse_.ask(FUSE_SETXATTR, file, part(std::array<std::uint32_t, 2>{everything, 0}) + name(attribute) + "abc"));
      note("attribute " + attribute, fuse_.ask(FUSE_GETXATTR, file, part(fuse_getxattr_in{4096, 0}) + name(attribute)));
      note("attribute, all of it " + attribute,
           fuse_.ask(FUSE_GETXATTR, file, part(fuse_getxattr_in{everything, 0}) + name(attribute)));
      note("remove attribute " + attribute, fuse_.ask(FUSE_REMOVEXATTR, file, name(attribute)));
    }
    note("attributes", fuse_.ask(FUSE_LISTXATTR, victim(), part(fuse_getxattr_in{everything, 0})));
  }

  void handles() {
    const std::uint64_t file = victim(), handle = open(file, O_RDWR);
    const Answer listed = fuse_.ask(FUSE_OPENDIR, at_.node, part(fuse_open_in{}));
    const std::uint64_t list = handle_in(listed);
    note("opendir", listed);
    note("opendir of a file", fuse_.ask(FUSE_OPENDIR, file, part(fuse_open_in{})));
    fuse_read_in in{};
    in.size = 4096;
    for (const std::uint64_t wrong : {handle, std::uint64_t{0}, ~std::uint64_t{0}}) {
      in.fh = wrong;
      note("readdir", fuse_.ask(FUSE_READDIR, file, part(in)));
      note("readdirplus", fuse_.ask(FUSE_READDIRPLUS, at_.node, part(in)));
      note("releasedir", fuse_.ask(FUSE_RELEASEDIR, at_.node, part(fuse_release_in{wrong, 0, 0, 0})));
    }
    for (const std::uint64_t from : {0ULL, 1ULL, ~0ULL, 1ULL << 63U}) {
      in.fh = list;
      in.offset = from;
      in.size = everything;
      note("readdir from " + std::to_string(from), fuse_.ask(FUSE_READDIR, at_.node, part(in), {}, 1U << 19U));
      note("readdirplus from " + std::to_string(from), fuse_.ask(FUSE_READDIRPLUS, at_.node, part(in), {}, 1U << 19U));
    }
    note("read a folder's handle", fuse_.read(at_.node, list));
    note("write to a folder's handle", fuse_.write(at_.node, list, "changed"));
    note("read from nowhere", fuse_.read(file, handle, 4096, ~0ULL));
    note("read everything", fuse_.read(file, handle, everything, 0));
    note("write to nowhere", fuse_.write(file, handle, "changed", ~0ULL));
    fuse_write_in more{};
    more.fh = handle;
    more.size = everything;
    note("write more than was sent", fuse_.ask(FUSE_WRITE, file, part(more) + "changed"));
    more.size = 1;
    note("write less than was sent", fuse_.ask(FUSE_WRITE, file, part(more) + "changed"));
    more.write_flags = everything;
    note("write with all flags", fuse_.ask(FUSE_WRITE, file, part(more) + "changed"));
    for (const std::uint32_t opcode :
         {FUSE_FSYNC, FUSE_FSYNCDIR, FUSE_FLUSH, FUSE_LSEEK, FUSE_IOCTL, FUSE_SETUPMAPPING, FUSE_REMOVEMAPPING,
          FUSE_SYNCFS, FUSE_BMAP, FUSE_POLL, FUSE_STATFS, FUSE_ACCESS, FUSE_GETLK, FUSE_SETLK, FUSE_READLINK}) {
      note("request " + std::to_string(opcode), fuse_.ask(opcode, file, part(handle) + std::string(64, '\0')));
      note("request of ones " + std::to_string(opcode),
           fuse_.ask(opcode, file, part(handle) + std::string(64, '\xff')));
      note("request of nothing " + std::to_string(opcode), fuse_.ask(opcode, file, ""));
    }
    for (int times = 0; times < 2; ++times) {
      note("flush", fuse_.ask(FUSE_FLUSH, file, part(fuse_flush_in{handle, 0, 0, 0})));
      note("release", fuse_.ask(FUSE_RELEASE, file, part(fuse_release_in{handle, 0, 0, 0})));
    }
    note("write to what was released", fuse_.write(file, handle, "changed"));
    note("truncate what was released", fuse_.set(file, by_handle(size_of(0), handle)));
    note("releasedir", fuse_.ask(FUSE_RELEASEDIR, at_.node, part(fuse_release_in{list, 0, 0, 0})));
    note("releasedir again", fuse_.ask(FUSE_RELEASEDIR, at_.node, part(fuse_release_in{list, 0, 0, 0})));
    note("tmpfile", fuse_.ask(FUSE_TMPFILE, at_.node, part(fuse_create_in{O_RDWR, 0644, 0, 0}) + name("x")));
  }

  void control() {
    const std::uint64_t git = walk(fuse_, {".git"}, at_.node), hooks = walk(fuse_, {"hooks"}, git);
    struct Spot {
      std::uint64_t folder;
      const char* called;
    };
    const Spot spots[] = {{at_.node, ".envrc"},   {at_.node, ".git"},   {at_.node, ".claude"}, {at_.node, "CLAUDE.md"},
                          {at_.node, ".vscode"},  {git, "config"},      {git, "hooks"},        {hooks, "pre-commit"},
                          {hooks, "post-commit"}, {at_.node, ".EnvRc"}, {at_.node, ".GIT"},    {folder(), ".envrc"}};
    for (const Spot& spot : spots) {
      const std::string which = std::string(" ") + spot.called;
      const std::uint64_t there = walk(fuse_, {spot.called}, spot.folder);
      if (there != 0) {
        for (const std::uint32_t flags : {O_RDWR, O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC, O_RDWR | O_PATH, O_ACCMODE}) {
          use("open" + which, there, fuse_.open(there, flags));
        }
        const std::uint64_t handle = open(there, O_RDONLY);
        note("write to read handle of" + which, fuse_.write(there, handle, "changed"));
        note("truncate by read handle of" + which, fuse_.set(there, by_handle(size_of(0), handle)));
        note("fallocate by read handle of" + which, allocate(there, handle, 3));
        release(there, handle);
        note("truncate" + which, fuse_.set(there, size_of(0)));
        fuse_setattr_in in{};
        in.valid = FATTR_MODE;
        in.mode = 0777;
        note("mode of" + which, fuse_.set(there, in));
        in.valid = FATTR_MTIME;
        note("time of" + which, fuse_.set(there, in));
        note("link" + which, fuse_.ask(FUSE_LINK, at_.node, part(fuse_link_in{there}) + name("second-name")));
      }
      for (const std::uint32_t flags : {2U, 1U, 0U}) {
        (void)victim();
        note("rename to" + which, rename(last_, spot.folder, spot.called, flags));
      }
      note("link to" + which, fuse_.ask(FUSE_LINK, spot.folder, part(fuse_link_in{victim()}) + name(spot.called)));
      note("create" + which, make(fuse_.create(spot.folder, spot.called, O_RDWR | O_TRUNC, 0777)));
      note("mknod" + which,
           fuse_.ask(FUSE_MKNOD, spot.folder, part(fuse_mknod_in{S_IFREG | 0755, 0, 0, 0}) + name(spot.called)));
      note("mkdir" + which, fuse_.ask(FUSE_MKDIR, spot.folder, part(fuse_mkdir_in{0755, 0}) + name(spot.called)));
      note("symlink" + which, fuse_.ask(FUSE_SYMLINK, spot.folder, name(spot.called) + name("f00")));
      for (const std::uint32_t flags : {2U, 0U}) {
        (void)victim();
        note("rename away" + which,
             fuse_.ask(FUSE_RENAME2, spot.folder,
                       part(fuse_rename2_in{at_.node, flags, 0}) + name(spot.called) + name(last_)));
      }
      note("unlink" + which, fuse_.ask(FUSE_UNLINK, spot.folder, name(spot.called)));
      note("rmdir" + which, fuse_.ask(FUSE_RMDIR, spot.folder, name(spot.called)));
    }
  }

  void links() {
    (void)fuse_.ask(FUSE_SYMLINK, at_.node, name("link-made") + name("../../../../../../../../etc/passwd"));
    (void)fuse_.ask(FUSE_SYMLINK, at_.node, name("link-proc") + name("/proc/self/root"));
    for (const char* called : {"link-file", "link-folder", "link-up", "link-made", "link-proc"}) {
      const std::uint64_t link = walk(fuse_, {called}, at_.node);
      const std::string which = std::string(" ") + called;
      if (link == 0) continue;
      note("readlink" + which, fuse_.ask(FUSE_READLINK, link, ""));
      note("attributes of" + which, fuse_.ask(FUSE_GETATTR, link, part(fuse_getattr_in{})));
      for (const std::uint32_t flags : {O_RDONLY, O_RDWR, O_RDWR | O_TRUNC, O_PATH, O_RDONLY | O_DIRECTORY,
                                        O_RDWR | O_CREAT, O_RDWR | O_NOFOLLOW}) {
        use("open" + which, link, fuse_.open(link, flags));
        (void)make(fuse_.create(at_.node, called, flags, 0644));
        note("create over" + which, last_answer_);
      }
      const Answer list = fuse_.ask(FUSE_OPENDIR, link, part(fuse_open_in{}));
      note("opendir" + which, list);
      if (list.error == 0) {
        fuse_read_in in{};
        in.fh = list.as<fuse_open_out>().fh;
        in.size = 4096;
        note("readdir" + which, fuse_.ask(FUSE_READDIR, link, part(in)));
      }
      for (const char* below : {"secret", "..", "."}) {
        use(std::string("below") + which + " " + below, link, fuse_.look_up(link, below));
      }
      note("create below" + which, make(fuse_.create(link, "escaped", O_RDWR, 0644)));
      note("mkdir below" + which, fuse_.ask(FUSE_MKDIR, link, part(fuse_mkdir_in{0755, 0}) + name("escaped")));
      note("unlink below" + which, fuse_.ask(FUSE_UNLINK, link, name("secret")));
      note("truncate" + which, fuse_.set(link, size_of(0)));
      fuse_setattr_in in{};
      in.valid = FATTR_MODE;
      in.mode = 06777;
      note("mode of" + which, fuse_.set(link, in));
      in.valid = FATTR_MTIME;
      note("time of" + which, fuse_.set(link, in));
      note("attribute of" + which, fuse_.ask(FUSE_GETXATTR, link, part(fuse_getxattr_in{4096, 0}) + name("user.x")));
      const Answer second =
          fuse_.ask(FUSE_LINK, at_.node, part(fuse_link_in{link}) + name(std::string("second-") + called));
      note("link" + which, second);
      if (second.error == 0) use("open the second" + which, link, fuse_.open(node_in(second), O_RDWR));
    }
  }

 private:
  static std::string printable(const std::string& text) {
    std::string out;
    for (const char c : text) out += c >= ' ' && c < 0x7f ? c : '?';
    return out;
  }

  void note(const std::string& what, const Answer& answer) { report_.line(at_.called + " " + what, answer); }

  // A file nobody has touched yet.
  std::uint64_t victim() {
    char called[16];
    (void)::snprintf(called, sizeof called, "f%03u", count_++);
    last_ = called;
    const Answer found = fuse_.look_up(at_.node, last_);
    if (node_in(found) == 0) report_.line(at_.called + " lost " + last_ + ": " + found.text());
    return node_in(found);
  }

  std::uint64_t folder() { return walk(fuse_, {"folder"}, at_.node); }

  std::uint64_t open(std::uint64_t node, std::uint32_t flags) { return handle_in(fuse_.open(node, flags)); }

  void release(std::uint64_t node, std::uint64_t handle) {
    (void)fuse_.ask(FUSE_RELEASE, node, part(fuse_release_in{handle, 0, 0, 0}));
  }

  Answer allocate(std::uint64_t node, std::uint64_t handle, std::uint32_t mode) {
    return fuse_.ask(FUSE_FALLOCATE, node, part(fuse_fallocate_in{handle, 0, 4096, mode, 0}));
  }

  Answer rename(const std::string& from, std::uint64_t to, const std::string& called, std::uint32_t flags = 0) {
    return flags == 0
               ? fuse_.ask(FUSE_RENAME, at_.node, part(fuse_rename_in{to}) + name(from) + name(called))
               : fuse_.ask(FUSE_RENAME2, at_.node, part(fuse_rename2_in{to, flags, 0}) + name(from) + name(called));
  }

  // What was made is written to, and closed.
  Answer make(const Answer& made) {
    last_answer_ = made;
    if (made.came && made.error == 0 && made.bytes.size() >= sizeof(fuse_entry_out) + sizeof(fuse_open_out)) {
      fuse_open_out opened{};
      made.bytes.copy(reinterpret_cast<char*>(&opened), sizeof opened, sizeof(fuse_entry_out));
      (void)fuse_.write(node_in(made), opened.fh, "changed");
      (void)fuse_.read(node_in(made), opened.fh);
      release(node_in(made), opened.fh);
    }
    return made;
  }

  // What was opened is read, written, cut and closed.
  void use(const std::string& what, std::uint64_t node, const Answer& opened) {
    note(what, opened);
    if (!opened.came || opened.error != 0) return;
    const std::uint64_t handle = opened.as<fuse_open_out>().fh;
    (void)fuse_.read(node, handle);
    note(what + ", then write", fuse_.write(node, handle, "changed"));
    note(what + ", then truncate", fuse_.set(node, by_handle(size_of(1), handle)));
    note(what + ", then punch", allocate(node, handle, 3));
    release(node, handle);
  }

  Fuse& fuse_;
  Report& report_;
  const Target& at_;
  unsigned count_ = 0;
  std::string last_;
  Answer last_answer_;
};

}  // namespace

void change_everything(Fuse& fuse, Report& report, const Target& target) {
  Attack attack(fuse, report, target);
  attack.sizes();
  attack.opens();
  attack.names();
  attack.nodes();
  attack.renames();
  attack.attributes();
  attack.handles();
  attack.control();
  attack.links();
  attack.removals();
}

void cross(Fuse& fuse, Report& report, const Target& from, const Target& to) {
  const std::string both = from.called + " to " + to.called;
  const std::string file = "cross-" + to.called, other = "cross-" + from.called;
  const std::uint64_t source = walk(fuse, {file}, from.node), target = walk(fuse, {other}, to.node);
  for (const std::uint32_t flags : {2U, 1U, 4U}) {
    for (const std::string& called : {other, std::string(".envrc"), std::string("new-") + from.called}) {
      report.line(
          both + " rename " + std::to_string(flags) + " " + called,
          fuse.ask(FUSE_RENAME2, from.node, part(fuse_rename2_in{to.node, flags, 0}) + name(file) + name(called)));
    }
  }
  report.line(both + " link", fuse.ask(FUSE_LINK, to.node, part(fuse_link_in{source}) + name("linked-" + from.called)));
  report.line(both + " rename", fuse.ask(FUSE_RENAME, from.node,
                                         part(fuse_rename_in{to.node}) + name(file) + name("moved-" + from.called)));
  const Answer in = fuse.open(source, O_RDONLY);
  for (const std::uint32_t flags : {O_RDWR, O_RDONLY}) {
    const Answer out = fuse.open(target, flags);
    fuse_copy_file_range_in copy{};
    copy.fh_in = handle_in(in);
    copy.nodeid_out = target;
    copy.fh_out = handle_in(out);
    copy.len = 4096;
    report.line(both + " copy, opened " + std::to_string(flags) + " (" + out.text() + ")",
                fuse.ask(FUSE_COPY_FILE_RANGE, source, part(copy)));
    copy.nodeid_out = 1;
    copy.len = ~0ULL;
    report.line(both + " copy all", fuse.ask(FUSE_COPY_FILE_RANGE, source, part(copy)));
  }
}

namespace {

std::vector<std::string> list(Fuse& fuse, std::uint64_t folder) {
  const Answer opened = fuse.ask(FUSE_OPENDIR, folder, part(fuse_open_in{}));
  fuse_read_in in{};
  in.fh = handle_in(opened);
  in.size = 1U << 16U;
  const Answer names = fuse.ask(FUSE_READDIR, folder, part(in), {}, 1U << 17U);
  (void)fuse.ask(FUSE_RELEASEDIR, folder, part(fuse_release_in{in.fh, 0, 0, 0}));
  std::vector<std::string> out;
  for (std::size_t i = 0; i + FUSE_NAME_OFFSET <= names.bytes.size();) {
    fuse_dirent entry{};
    names.bytes.copy(reinterpret_cast<char*>(&entry), FUSE_NAME_OFFSET, i);
    if (entry.namelen == 0) break;
    out.push_back(names.bytes.substr(i + FUSE_NAME_OFFSET, entry.namelen));
    i += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen);
  }
  return out;
}

// The secret by its whole path and by the end of it, and what is read there.
void look_for(Fuse& fuse, Report& report, std::uint64_t from, const std::string& where, Place secret) {
  for (; !secret.empty(); secret.erase(secret.begin())) {
    const std::uint64_t found = walk(fuse, secret, from);
    if (found == 0) continue;
    const Answer opened = fuse.open(found, O_RDONLY);
    (void)fuse.read(found, handle_in(opened));
    report.line(where + " found the secret's place", opened);
  }
}

}  // namespace

void climb(Fuse& fuse, Report& report, const Target& target, const Place& secret) {
  std::uint64_t at = target.node;
  constexpr int higher_than_anything = 64;
  for (int i = 0; i < higher_than_anything; ++i) {
    look_for(fuse, report, at, target.called + ", " + std::to_string(i) + " up,", secret);
    const Answer up = fuse.look_up(at, "..");
    if (!up.came || up.error != 0) break;
    at = node_in(up);
  }
  std::string told;
  for (const std::string& one : list(fuse, at)) {
    told += " " + one;
    const std::uint64_t folder = walk(fuse, {one}, at);
    for (const std::string& two : list(fuse, folder)) {
      look_for(fuse, report, walk(fuse, {two}, folder), target.called + ", at " + one + "/" + two + ",", secret);
    }
  }
  report.line(target.called + " top:" + told);
}

void make_up(Fuse& fuse, Report& report, const Target& target) {
  const auto note = [&](const std::string& what, const Answer& answer) { report.line("made up " + what, answer); };
  for (const std::uint64_t node : {0ULL, 2ULL, 99'999ULL, 1ULL << 32U, 1ULL << 63U, ~0ULL}) {
    const std::string which = " node " + std::to_string(node);
    for (std::uint32_t opcode = 1; opcode <= 64; ++opcode) {
      if (may_end_it(opcode)) continue;
      note("request " + std::to_string(opcode) + which, fuse.ask(opcode, node, std::string(200, '\0')));
      note("request of ones " + std::to_string(opcode) + which,
           fuse.ask(opcode, node, std::string(199, '\xff') + '\0'));
    }
  }
  for (const std::uint64_t handle : {99'999ULL, 1ULL << 32U, 1ULL << 63U, ~0ULL}) {
    const std::string which = " handle " + std::to_string(handle);
    note("read" + which, fuse.read(target.node, handle));
    note("write" + which, fuse.write(target.node, handle, "changed"));
    note("truncate" + which, fuse.set(target.node, by_handle(size_of(0), handle)));
    note("release" + which, fuse.ask(FUSE_RELEASE, target.node, part(fuse_release_in{handle, 0, 0, 0})));
    note("lseek" + which, fuse.ask(FUSE_LSEEK, target.node, part(fuse_lseek_in{handle, 0, 3, 0})));
  }
  for (const std::uint32_t opcode : {0U, 52U, 1000U, 1U << 20U, 436207616U, everything}) {
    note("opcode " + std::to_string(opcode), fuse.ask(opcode, target.node, std::string(200, '\0')));
  }
  for (const std::uint32_t length : {0U, 1U, 39U, 40U, 1000U, 1U << 20U, everything}) {
    note("length " + std::to_string(length),
         fuse.ask(FUSE_LOOKUP, target.node, name("f000"), {.length = length, .owner = {}}));
    note("length of a write " + std::to_string(length),
         fuse.ask(FUSE_WRITE, target.node, part(fuse_write_in{}) + "changed", {.length = length, .owner = {}}));
  }
}

}  // namespace bulkhead::turned
