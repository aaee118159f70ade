// The shim as a program, played by a supervisor of the test's own. Most tests run it bare (so its pids are the
// machine's and own_pid_namespace is off); those about the session's end run it in bubblewrap, as the tier does.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "base/ipc.h"
#include "base/process.h"
#include "base/sys.h"
#include "guest/landlock.h"
#include "guest/protocol.h"

namespace bulkhead::shim {
namespace {

using std::chrono::milliseconds;

class ShimTest : public testing::Test {
 protected:
  ShimTest() {
    setup_.environment = {"PATH=/usr/bin:/bin", "HOME=/nowhere"};
    setup_.uid = ::getuid();
    setup_.gid = ::getgid();
    setup_.own_pid_namespace = false;
    setup_.rules = {{"/usr", Access::run},  {"/bin", Access::run},   {"/lib", Access::run},  {"/lib64", Access::run},
                    {"/etc", Access::read}, {"/dev", Access::write}, {"/proc", Access::read}};
  }

  void command(std::vector<std::string> arguments) { setup_.arguments = std::move(arguments); }
  void script(const std::string& text) { command({"sh", "-c", text}); }

  // Starts the shim and sends it the setup. Its stdin is /dev/null, stdout and stderr are pipes.
  void start(bool bubblewrap = false) {
    auto pair = sys::socket_pair(SOCK_SEQPACKET);
    auto out = sys::pipe(), err = sys::pipe();
    ASSERT_TRUE(pair && out && err);
    SpawnOptions options;
    options.arguments = {"bulkhead-shim"};
    std::string program = BULKHEAD_SHIM;
    if (bubblewrap) {
      // Beside the shim: a capability-less user, its own pids, a fresh /dev with its own devpts.
      options.arguments = {"bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--ro-bind", "/",
                           "/",     "--dev",          "/dev",          "--proc",        "/proc",     "--cap-drop",
                           "ALL",   BULKHEAD_SHIM};
      program = "/usr/bin/bwrap";
      setup_.own_pid_namespace = true;
    }
    auto opened = sys::open(program, O_PATH | O_CLOEXEC);
    ASSERT_TRUE(opened);
    options.program = opened->get();
    options.fds = {-1, out->second.get(), err->second.get(), pair->second.get()};
    auto child = spawn(options);
    ASSERT_TRUE(child) << child.error().message;
    shim_ = std::move(*child);
    control_ = std::move(pair->first);
    out_ = std::move(out->first);
    err_ = std::move(err->first);
    pair->second.reset();
    const auto datagrams = encode(setup_);
    ASSERT_TRUE(datagrams) << datagrams.error().message;
    for (const std::string& d : *datagrams) ASSERT_TRUE(ipc::send(control_.get(), std::string_view(d)));
  }

  void tell(const ToShim& message) { ASSERT_TRUE(ipc::send(control_.get(), std::string_view(encode(message)))); }

  // The next message, with the master taken from it; Failed{0} when none comes within ten seconds.
  ToSupervisor next(milliseconds timeout = milliseconds(10000)) {
    pollfd p{control_.get(), POLLIN, 0};
    if (::poll(&p, 1, static_cast<int>(timeout.count())) <= 0) return Failed{0, "(silence)"};
    auto message = ipc::receive(control_.get());
    if (!message || message->closed) return Failed{0, "(closed)"};
    auto decoded = decode_to_supervisor(message->text);
    if (decoded && std::holds_alternative<Listening>(*decoded)) {
      listener_ = std::move(message->fds.at(0));
      return next(timeout);
    }
    if (!message->fds.empty()) master_ = std::move(message->fds[0]);
    return decoded ? *decoded : ToSupervisor(Failed{0, "(malformed)"});
  }

  template <class T>
  T expect() {
    const ToSupervisor message = next();
    if (const T* wanted = std::get_if<T>(&message)) return *wanted;
    const auto* failed = std::get_if<Failed>(&message);
    ADD_FAILURE() << "another message came: index " << message.index() << (failed != nullptr ? " " + failed->text : "");
    return {};
  }

  void go() {
    expect<Ready>();
    tell(Go{});
  }

  int finish() {
    (void)ipc::send(control_.get(), std::string_view(encode(ToShim(Finish{}))));  // without a pty it needs no telling
    return shim_.wait()->shell();
  }

  // Runs to the end without a pty; what it wrote is in output_.
  Exited run() {
    start();
    go();
    started_ = expect<Started>();
    output_ = *sys::read_all(out_.get(), 1 << 20, "output");
    errors_ = *sys::read_all(err_.get(), 1 << 20, "errors");
    const Exited exited = expect<Exited>();
    EXPECT_EQ(finish(), exited.shell());
    return exited;
  }

  Failed run_to_failure() {
    start();
    go();
    const Failed failed = expect<Failed>();
    EXPECT_EQ(shim_.wait()->shell(), failed.code);
    return failed;
  }

  std::string read_master(std::string_view until) {
    std::string text;
    char buffer[4096];
    for (int i = 0; i < 200 && text.find(until) == std::string::npos; ++i) {
      pollfd p{master_.get(), POLLIN, 0};
      if (::poll(&p, 1, 100) <= 0) continue;
      const ssize_t n = ::read(master_.get(), buffer, sizeof buffer);
      if (n <= 0) break;
      text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
  }

  shim::Setup setup_;
  Child shim_;
  UniqueFd control_, out_, err_, master_, listener_;
  Started started_;
  std::string output_, errors_;
};

TEST_F(ShimTest, RunsWithExactlyTheGivenEnvironment) {
  ::setenv("LEAKED", "yes", 1);
  setup_.environment.push_back("EXTRA=1 2");
  command({"env"});
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(output_, "PATH=/usr/bin:/bin\nHOME=/nowhere\nEXTRA=1 2\n");
  EXPECT_EQ(errors_, "");
  EXPECT_EQ(started_.landlock_abi, landlock_abi());
}

TEST_F(ShimTest, StatusDirectoryMaskAndLimits) {
  setup_.directory = "/usr/lib";
  setup_.mask = 027;
  setup_.limits = {{RLIMIT_NOFILE, 100, 100}};
  script("pwd; umask; ulimit -n; ulimit -c; exit 42");
  EXPECT_EQ(run().code, 42);
  EXPECT_EQ(output_, "/usr/lib\n0027\n100\n0\n");
}

TEST_F(ShimTest, DeathBySignalIsReported) {
  script("kill -SEGV $$");
  const Exited exited = run();
  EXPECT_EQ(exited.signal, SIGSEGV);
  EXPECT_EQ(exited.shell(), 139);
}

TEST_F(ShimTest, OnlyStdioIsOpenAndNoPrivilegeIsLeft) {
  script("ls /proc/self/fd | tr '\\n' ' '; grep -E 'CapPrm|CapEff|CapAmb|NoNewPrivs|Seccomp:' /proc/self/status");
  ASSERT_EQ(run().code, 0) << errors_;
  EXPECT_EQ(output_.substr(0, 8), "0 1 2 3 ");  // 3 is ls reading the folder
  for (const char* line : {"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000",
                           "NoNewPrivs:\t1", "Seccomp:\t2"}) {
    EXPECT_NE(output_.find(line), std::string::npos) << line << "\n" << output_;
  }
}

TEST_F(ShimTest, NothingRunsBeforeTheGate) {
  script("echo ran");
  start();
  expect<Ready>();
  pollfd p{out_.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 100), 0);
  control_.reset();
  EXPECT_EQ(shim_.wait()->shell(), 125);
  EXPECT_EQ(*sys::read_all(out_.get(), 100, "output"), "");
}

TEST_F(ShimTest, CommandsThatCannotRun) {
  command({"no-such-program"});
  Failed failed = run_to_failure();
  EXPECT_EQ(failed.code, 127);
  EXPECT_EQ(failed.text,
            "no-such-program: not found inside the session (is it in the workspace or a mounted toolchain?)");
  command({"/etc/passwd"});
  EXPECT_EQ(run_to_failure().code, 126);
  setup_.directory = "/nowhere/at/all";
  command({"true"});
  failed = run_to_failure();
  EXPECT_EQ(failed.code, 125);
  EXPECT_EQ(failed.text, "can't enter /nowhere/at/all inside the session: No such file or directory");
}

TEST_F(ShimTest, RefusesToBeSomebodyElse) {
  command({"true"});
  setup_.uid += 1;
  start();
  EXPECT_EQ(expect<Failed>().code, 125);
}

TEST_F(ShimTest, LandlockHoldsWhatTheRulesDoNotAllow) {
  if (landlock_abi() == 0) GTEST_SKIP() << "no Landlock in this kernel";
  std::string folder = "/tmp/bulkhead-shim-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  for (const char* name : {"/read", "/full", "/write", "/hidden"}) ASSERT_EQ(::mkdir((folder + name).c_str(), 0777), 0);
  ASSERT_TRUE(sys::write_file_atomically(folder + "/hidden/secret", "s3cret", 0666));
  ASSERT_TRUE(sys::write_file_atomically(folder + "/read/text", "text", 0666));
  setup_.rules.push_back({folder + "/read", Access::read});
  setup_.rules.push_back({folder + "/full", Access::full});
  setup_.rules.push_back({folder + "/write", Access::write});
  setup_.rules.push_back({folder + "/absent", Access::full});
  const std::string body =
      "cd " + folder +
      "; cat read/text; echo x > full/new && cp /usr/bin/true full/true && full/true && echo ran;"
      "mv full/new full/other && echo moved; cp /usr/bin/true write/true; write/true || echo noexec;"
      "cat hidden/secret; echo y > read/new; echo z >> read/text; mkdir absent; true";
  script(body);
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(output_, "textran\nmoved\nnoexec\n") << errors_;
  // The same without Landlock does it all: it was Landlock that held.
  setup_.landlock = false;
  std::filesystem::remove_all(folder + "/full/true");
  script(body);
  run();
  EXPECT_NE(output_.find("s3cret"), std::string::npos);
  EXPECT_TRUE(sys::exists(folder + "/read/new"));
  std::filesystem::remove_all(folder);
}

TEST_F(ShimTest, WorkloadCannotSignalItsShim) {
  if (landlock_abi() < 6) GTEST_SKIP() << "this kernel's Landlock can't scope signals";
  script("kill -0 $PPID 2>/dev/null && echo reached; kill -TERM $PPID 2>/dev/null; sleep 0.05; echo alive");
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(output_, "alive\n");
}

TEST_F(ShimTest, SignalsReachTheWorkload) {
  script("trap 'echo term; exit 7' TERM; echo ready; while :; do sleep 0.02; done");
  start();
  go();
  expect<Started>();
  char buffer[16];
  ASSERT_EQ(::read(out_.get(), buffer, sizeof buffer), 6);
  tell(Signal{SIGTERM, false});
  EXPECT_EQ(expect<Exited>().code, 7);
  finish();
}

TEST_F(ShimTest, StopAndContinue) {
  script("kill -STOP $$; sleep 0.3; exit 3");
  start();
  go();
  expect<Started>();
  EXPECT_EQ(expect<Stopped>().signal, SIGSTOP);
  tell(Continue{});
  expect<Continued>();
  EXPECT_EQ(expect<Exited>().code, 3);
  EXPECT_EQ(finish(), 3);
}

TEST_F(ShimTest, WorkloadsPipesCloseWithTheWorkload) {
  // The shim itself must not hold them: `cmd | head` lives by this.
  script("exec >&-; exec 2>&-; sleep 5");
  start();
  go();
  expect<Started>();
  pollfd p{out_.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&p, 1, 2000), 1);
  EXPECT_NE(p.revents & POLLHUP, 0);
  control_.reset();
  shim_.wait();
}

TEST_F(ShimTest, PtyInsideTheSandbox) {
  setup_.pty[0] = setup_.pty[1] = setup_.pty[2] = true;
  setup_.window = {33, 101, 0, 0};
  script(
      "tty; stty size; ls /dev/pts | tr '\\n' ' '; ps -o tpgid=,pgid= -p $$ 2>/dev/null | awk '{print "
      "($1==$2)?\"front\":\"back\"}'");
  start(true);
  const Ready ready = expect<Ready>();
  EXPECT_TRUE(ready.pty);
  ASSERT_TRUE(master_);
  tell(Go{});
  expect<Started>();
  expect<Exited>();
  EXPECT_EQ(read_master("front"), "/dev/pts/0\r\n33 101\r\n0 ptmx front\r\n");
  EXPECT_EQ(finish(), 0);
}

TEST_F(ShimTest, CtrlCAndCtrlZReachTheForeground) {
  setup_.pty[0] = setup_.pty[1] = setup_.pty[2] = true;
  script("echo up; exec sleep 20");  // exec: dash loses a Ctrl-C typed while it forks
  start(true);
  go();
  expect<Started>();
  read_master("up");
  ASSERT_EQ(::write(master_.get(), "\x1a", 1), 1);
  EXPECT_EQ(expect<Stopped>().signal, SIGTSTP);
  tell(Continue{});
  expect<Continued>();
  ASSERT_EQ(::write(master_.get(), "\x03", 1), 1);
  EXPECT_EQ(expect<Exited>().signal, SIGINT);
  EXPECT_EQ(finish(), 130);
}

// The kernel drops a pty's unread output when the session's leader exits; Finish holds that off.
TEST_F(ShimTest, LastOutputIsNotLost) {
  setup_.pty[1] = true;
  script(
      "i=0; while [ $i -lt 100 ]; do echo 0123456789012345678901234567890123456789012345678901234567; i=$((i+1)); "
      "done; echo THE-END");
  start(true);
  go();
  expect<Started>();
  expect<Exited>();  // before anything was read: 6 KB wait in the pty
  ::usleep(50'000);
  std::string text = read_master("THE-END");
  EXPECT_NE(text.find("THE-END"), std::string::npos);
  EXPECT_EQ(finish(), 0);
}

bool running(const std::string& marker) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto text = sys::read_file(entry.path() / "cmdline", 1 << 16);
    if (text && text->find(marker) != std::string::npos && text->find("sleep") == 0) return true;
  }
  return false;
}

void expect_gone(const std::string& marker) {
  for (int i = 0; i < 100 && running(marker); ++i) ::usleep(20'000);
  EXPECT_FALSE(running(marker));
}

TEST_F(ShimTest, BackgroundProcessesEndWithTheWorkload) {
  const std::string marker = "98" + std::to_string(::getpid());
  script("(trap '' HUP; setsid sleep " + marker + " & ) ; sleep 0.2; exit 5");
  start(true);
  go();
  expect<Started>();
  EXPECT_EQ(expect<Exited>().code, 5);
  expect_gone(marker);  // before Finish: nothing may print into what is still being read
  EXPECT_EQ(finish(), 5);
}

TEST_F(ShimTest, EverythingEndsWithTheSupervisor) {
  const std::string marker = "97" + std::to_string(::getpid());
  script("trap '' HUP TERM INT; setsid sleep " + marker + " & sleep " + marker + "; sleep " + marker);
  start(true);
  go();
  expect<Started>();
  for (int i = 0; i < 100 && !running(marker); ++i) ::usleep(20'000);
  ASSERT_TRUE(running(marker));
  control_.reset();
  EXPECT_EQ(shim_.wait()->shell(), 125);
  expect_gone(marker);
}

TEST_F(ShimTest, LargeEnvironment) {
  for (int i = 0; i < 10; ++i) setup_.environment.push_back("BIG" + std::to_string(i) + "=" + std::string(60'000, 'x'));
  script("echo ${#BIG9}");
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(output_, "60000\n");
}

TEST_F(ShimTest, MalformedMessagesEndIt) {
  script("sleep 20");
  start();
  go();
  expect<Started>();
  ASSERT_TRUE(ipc::send(control_.get(), std::string_view("nonsense")));
  EXPECT_EQ(shim_.wait()->shell(), 125);
}

}  // namespace
}  // namespace bulkhead::shim
