#include "tier/vm/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sys.h"
#include "guest/boot.h"
#include "guest/landlock.h"
#include "guest/record.h"
#include "tier/stage/facts.h"
#include "tier/vm/capabilities.h"
#include "tier/vm/find.h"

namespace bulkhead::tier::vm {
namespace {

using shim::Access;

constexpr const char* share_slot = "share";

// All emulated processors count by the host's counter. Where the kernel does not believe that, each look at the clock
// is a request to QEMU (its HPET).
constexpr const char* tcg_clock = " tsc=reliable";

// no_timer_check: at its start the kernel looks whether enough ticks come while it waits. On a host that is busy they
// come late, and it panics ("IO-APIC + timer doesn't work") or goes on with an interrupt that stops some day; as a
// guest of KVM it does not look either. cryptomgr.notests: to see that its ciphers compute what they should takes a
// fifth of its start on an emulated processor (1.5 s for 1.9).
constexpr const char* boot_words =
    "console=ttyS0 quiet panic=-1 reboot=t random.trust_cpu=on no_timer_check cryptomgr.notests";

Result<void> touch_only(const std::vector<shim::Rule>& rules) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl(PR_SET_NO_NEW_PRIVS)", "", errno);
  const int abi = shim::landlock_abi();
  return abi == 0 ? Result<void>() : shim::apply_landlock(rules, true, abi);
}

// virtiofsd sets no such bit (set-user-ID, set-group-ID), whatever the machine's kernel asks for; the workload's own
// filter (guest/seccomp_gen.cc) holds only as long as that kernel does.
void refuse_bits(std::vector<sock_filter>& program, std::uint32_t call, unsigned mode_argument, std::uint32_t bits) {
  const sock_filter more[] = {
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
               static_cast<std::uint32_t>(offsetof(seccomp_data, args) + mode_argument * sizeof(std::uint64_t))),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  program.insert(program.end(), std::begin(more), std::end(more));
}

// What of virtiofsd's system calls is answered otherwise. It gives up its supplementary groups, which in a user
// namespace of one id nobody may (user_namespaces(7)), and ends if it can't. It has the user's; the machine's users are
// none of them.
Result<void> answer_calls(bool set_group) {
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setgroups, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 0),
  };
  constexpr std::uint32_t fchmodat2 = 452;  // Linux 6.6
  const std::uint32_t bits = set_group ? S_ISUID : S_ISUID | S_ISGID;
  refuse_bits(program, SYS_fchmod, 1, bits);
  refuse_bits(program, SYS_fchmodat, 2, bits);
  refuse_bits(program, fchmodat2, 2, bits);
  refuse_bits(program, SYS_mknodat, 2, bits);
  refuse_bits(program, SYS_openat, 3, bits);
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return fail_errno("prctl(PR_SET_SECCOMP)", "", errno);
  return {};
}

// What virtiofsd asks for, whatever it needs (setup_capabilities() in QEMU's tools/virtiofsd/passthrough_ll.c), and
// chroot(2).
constexpr std::uint64_t virtiofsd_capabilities =
    1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER | 1U << CAP_FSETID | 1U << CAP_SETGID |
    1U << CAP_SETUID | 1U << CAP_MKNOD | 1U << CAP_SETFCAP | 1U << CAP_SYS_CHROOT | 1U << CAP_SETPCAP;

Result<Child> start(const char* path, std::vector<std::string> arguments, std::vector<int> fds,
                    std::function<Result<void>()> confine) {
  BH_TRY(const UniqueFd program, sys::open(path, O_PATH));
  SpawnOptions options;
  options.program = program.get();
  options.arguments = std::move(arguments);
  options.environment = {"PATH=/usr/bin", "G_SLICE=always-malloc"};
  options.fds = std::move(fds);
  options.before_exec = std::move(confine);
  return spawn(options);
}

}  // namespace

nlohmann::json share_device() {
  return {{"driver", "vhost-user-fs-pci"}, {"chardev", "files"}, {"bus", share_slot}, {"tag", shim::share_tag}};
}

std::vector<std::string> hardware(const Machine& machine) {
  const std::string megabytes = std::to_string(machine.memory >> 20);
  const std::string folder(machine_folder);
  // Each device has its place on the bus, with or without the others: a machine that was saved knows them by it.
  return {
      "-nodefaults",
      "-no-user-config",
      "-no-reboot",
      "-display",
      "none",
      "-sandbox",
      "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
      "-machine",
      std::string("q35,memory-backend=memory,usb=off,vmport=off,accel=") + (machine.kvm ? "kvm" : "tcg"),
      "-cpu",
      // Where the processor is emulated "rep movsb" is a byte at a time, and with these two everything copies by it:
      // the kernel's page faults take four times as long.
      machine.kvm ? "host" : "max,erms=off,fsrm=off",
      "-smp",
      std::to_string(machine.processors),
      "-m",
      megabytes + "M",
      // Shared with virtiofsd, which reads and writes the machine's requests there.
      "-object",
      "memory-backend-file,id=memory,share=on,mem-path=/proc/self/fd/5,size=" + megabytes + "M",
      "-kernel",
      folder + "/vmlinuz",
      "-initrd",
      folder + "/initrd",
      "-append",
      std::string(boot_words) + (!machine.kvm && counts_steadily() ? tcg_clock : ""),
      "-chardev",
      "socket,id=console,fd=3",
      "-device",
      "isa-serial,chardev=console",
      "-device",
      "virtio-serial-pci,addr=2",
      "-chardev",
      "socket,id=port,fd=4",
      "-device",
      std::string("virtserialport,chardev=port,id=") + port_id + ",name=" + shim::port_name,
      "-device",
      std::string("virtserialport,chardev=record,name=") + shim::record::port_name,
      "-object",
      "rng-random,id=random,filename=/dev/urandom",
      "-device",
      "virtio-rng-pci,rng=random,addr=3",
  };
}

Result<Child> start_qemu(const Machine& machine, const Wiring& wiring, How how) {
  std::vector<std::string> arguments = {"qemu-system-x86_64", "-chardev",
                                        wiring.record < 0 ? "null,id=record" : "socket,id=record,fd=9"};
  for (std::string& word : hardware(machine)) arguments.push_back(std::move(word));
  const auto add = [&](std::initializer_list<std::string> words) { arguments.insert(arguments.end(), words); };
  if (wiring.monitor >= 0) add({"-chardev", "socket,id=monitor,fd=6", "-mon", "chardev=monitor,mode=control"});
  if (wiring.tap >= 0) add({"-netdev", "tap,id=room,fd=7", "-device", "virtio-net-pci,netdev=room,romfile=,addr=4"});
  if (wiring.files >= 0) add({"-chardev", "socket,id=files,fd=8"});
  if (how == How::boots) {
    add({"-device", std::string("vhost-user-fs-pci,chardev=files,addr=5,tag=") + shim::share_tag});
  } else {  // to the bus itself nothing can be added
    add({"-device", std::string("pcie-root-port,addr=5,chassis=1,id=") + share_slot});
  }
  if (how == How::restores) add({"-incoming", "defer"});
  // What time it is each session's machine is told, and one that was not told does not seem to know.
  if (how == How::saves) add({"-rtc", "base=2000-01-01"});
  return start(qemu_path, arguments,
               {-1, wiring.messages, wiring.messages, wiring.console, wiring.port, wiring.memory, wiring.monitor,
                wiring.tap, wiring.files, wiring.record},
               []() -> Result<void> {
                 BH_CHECK(keep_capabilities(0));
                 return touch_only({{"/usr", Access::run},
                                    {"/lib", Access::run},
                                    {"/lib64", Access::run},
                                    {"/etc/ld.so.cache", Access::read},
                                    {machine_folder, Access::read},
                                    {"/proc", Access::read},
                                    {"/dev", Access::write}});
               });
}

std::uint64_t most_files() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : 0;
}

Result<Child> start_virtiofsd(int messages, int listening, bool set_group) {
  const std::vector<std::string> arguments = {"virtiofsd",
                                              "--fd=3",
                                              "-f",
                                              "-o",
                                              std::string("source=") + share_folder,
                                              "-o",
                                              "sandbox=chroot",
                                              "-o",
                                              "cache=always",
                                              "-o",
                                              "timeout=1",
                                              "-o",
                                              "log_level=err",
                                              "-o",
                                              "modcaps=-dac_override:-mknod:-setfcap:-chown:-fsetid"};
  return start(virtiofsd_path, arguments, {-1, messages, messages, listening}, [set_group]() -> Result<void> {
    // It holds each file that the machine's kernel knows, and raises this itself only where it is root.
    const rlimit files{most_files(), most_files()};
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) return fail_errno("setrlimit(RLIMIT_NOFILE)", "", errno);
    BH_CHECK(keep_capabilities(virtiofsd_capabilities));
    BH_CHECK(touch_only({{"/usr", Access::run},
                         {"/lib", Access::run},
                         {"/lib64", Access::run},
                         {"/etc/ld.so.cache", Access::read},
                         {"/proc", Access::read},
                         {"/dev/null", Access::write},
                         {share_folder, Access::full}}));
    return answer_calls(set_group);
  });
}

}  // namespace bulkhead::tier::vm
