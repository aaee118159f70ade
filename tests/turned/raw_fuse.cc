// What a machine's kernel that was taken over can say to the host's file server (virtiofsd): as root of the machine
// this takes the virtio-fs device from the kernel and speaks FUSE over it itself.
//
//   raw-fuse REPORT changes SECRET NAME=FOLDER…    every hostile request to these mounts of the session's
//   raw-fuse REPORT urgent SECRET NAME=FOLDER…     the same by the queue for what is urgent
//   raw-fuse REPORT ends FIRST NAME=FOLDER         what may end the file server, from that attempt on
//
// REPORT is the mount into which `report` and `seen` are written (raw_report.h). With the device the machine has lost
// its files, so it ends with this.
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "turned/raw_changes.h"
#include "turned/raw_rings.h"

namespace bulkhead::turned {
namespace {

constexpr const char* sys = "/tmp/sys";  // the session's own is empty

Place place_of(const std::string& path) {
  Place out;
  for (const auto& one : split(path, '/')) {
    if (!one.empty()) out.emplace_back(one);
  }
  return out;
}

// Where the file server has what the machine has at that folder (proc(5): mountinfo).
Result<Place> shared_place(const std::string& folder) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, at;
    words >> id >> parent >> device >> root >> at;
    if (at == folder) return place_of(root);
  }
  return fail(folder + " is no mount");
}

Result<Target> target_of(const std::string& word) {
  const std::size_t at = word.find('=');
  if (at == std::string::npos) return fail("NAME=FOLDER");
  BH_TRY(Place place, shared_place(word.substr(at + 1)));
  return Target{word.substr(0, at), std::move(place), 0};
}

void prove(Fuse& fuse, Report& report, const Target& target) {
  const std::uint64_t file = walk(fuse, {"folder", "inner"}, target.node);
  const Answer read = fuse.read(file, fuse.open(file, O_RDONLY).as<fuse_open_out>().fh);
  report.line(target.called + " reads " + read.bytes.substr(0, read.bytes.find('\n')));
}

void changes(Fuse& fuse, Report& report, std::vector<Target>& targets, const std::string& secret) {
  for (Target& target : targets) {
    target.node = walk(fuse, target.place);
    prove(fuse, report, target);
  }
  for (const Target& from : targets) {
    for (const Target& to : targets) {
      if (&from != &to) cross(fuse, report, from, to);
    }
  }
  for (const Target& target : targets) {
    change_everything(fuse, report, target);
    climb(fuse, report, target, place_of(secret));
  }
  climb(fuse, report, {"all", {}, FUSE_ROOT_ID}, place_of(secret));
  make_up(fuse, report, targets.front());
  report.line("all");
}

Result<void> run(const std::vector<std::string>& words) {
  if (words.size() < 4) return fail("REPORT changes|urgent|ends SECRET|FIRST NAME=FOLDER…");
  BH_TRY(const Place report_place, shared_place(words[0]));
  std::vector<Target> targets;
  for (std::size_t i = 3; i < words.size(); ++i) {
    BH_TRY(Target target, target_of(words[i]));
    targets.push_back(std::move(target));
  }
  (void)::mkdir(sys, 0700);
  if (::mount("sys", sys, "sysfs", 0, nullptr) != 0) return fail_errno("mount", sys, errno);
  // This program's own pages come from there, too.
  if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return fail_errno("mlockall", "", errno);
  const std::uint16_t queue = words[1] == "urgent" ? 0 : 1;  // virtio 1.2, 5.11.2
  BH_TRY(const VirtioDevice device, VirtioDevice::take(sys, VIRTIO_ID_FS, queue));
  Fuse fuse(device);
  const Answer folder = fuse.ask(FUSE_GETATTR, walk(fuse, report_place), part(fuse_getattr_in{}));
  const auto owner = folder.as<fuse_attr_out>().attr;
  fuse.be(owner.uid, owner.gid);
  // A number for a folder's handle is one for a file's, too: those that an attempt may hit are not the report's.
  Place own = report_place;
  own.emplace_back("as-root.sh");
  constexpr int spare = 16;
  for (int i = 0; i < spare; ++i) (void)fuse.open(walk(fuse, own), O_RDONLY);
  Report report(fuse, report_place);
  if (words[1] == "ends") {
    Place file = targets[0].place;
    file.emplace_back("f000");
    try_to_end_it(fuse, report, file, ::strtoul(words[2].c_str(), nullptr, 10));
  } else {
    changes(fuse, report, targets, words[2]);
  }
  return {};
}

}  // namespace
}  // namespace bulkhead::turned

int main(int argc, char** argv) {
  const auto done = bulkhead::turned::run({argv + 1, argv + argc});
  if (!done) {
    (void)::fprintf(stderr, "raw-fuse: %s\n", done.error().message.c_str());
    return 1;
  }
  ::reboot(RB_POWER_OFF);
  return 1;
}
