// The real bulkhead-egress, confined: a call its seccomp list lacks would kill it here.
#include <fcntl.h>
#include <poll.h>

#include "base/ipc.h"
#include "base/process.h"
#include "base/sys.h"
#include "gateway/egress/harness_test.h"

#ifndef __has_feature  // GCC
#define __has_feature(name) 0
#endif

namespace bulkhead::egress {
namespace {

class EgressProgram : public testing::Test {
 protected:
  void SetUp() override {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's own system calls are not in the allow-lists";
#endif
    dns_.records["inside.example.com. A"] = {"127.0.0.1"};
    thread_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  void start(const Running::Options& options) {
    auto pipe = sys::pipe();
    const auto program = sys::open(BULKHEAD_EGRESS, O_PATH);
    ASSERT_TRUE(program) << program.error().message;
    SpawnOptions spawned;
    spawned.program = program->get();
    spawned.arguments = {"bulkhead-egress"};
    spawned.fds = {-1, pipe->second.get(), pipe->second.get(), sockets_.egress_supervisor.get(),
                   sockets_.egress_evidence.get()};
    auto child = spawn(spawned);
    ASSERT_TRUE(child) << child.error().message;
    child_ = std::move(*child);
    errors_ = std::move(pipe->first);
    EgressConfig config = configuration(options, dns_.address());
    config.upstream_ca = 1;
    // As on a real machine: the first dial loads all of it.
    auto bundle = sys::open("/etc/ssl/certs/ca-certificates.crt", O_RDONLY);
    if (!bundle) bundle = sys::memory_file("bundle", TestCa().pem());
    const auto extra = sys::memory_file("ca", options.upstream_ca);
    std::vector<int> fds{sockets_.egress_control.get(), bundle->get(), extra->get()};
    auto reader = sys::socket_pair(SOCK_SEQPACKET);
    if (!options.credential.empty()) fds.push_back(reader->second.get());
    ASSERT_TRUE(ipc::send(sockets_.supervisor.get(), to_json(config), fds));
    if (!options.credential.empty()) ASSERT_TRUE(ipc::send(reader->first.get(), std::string_view(secret)));
    sockets_.egress_control.reset();
    sockets_.egress_supervisor.reset();
    sockets_.egress_evidence.reset();
    const auto ready = ipc::receive(sockets_.supervisor.get());
    ASSERT_TRUE(ready && ready->text == R"({"type":"ready"})") << errors();
  }
  // Once it has ended.
  std::string errors() {
    (void)child_.wait();
    return *sys::read_all(errors_.get(), 64 * 1024, "errors");
  }
  int ended() {
    for (int i = 0; i < 500; ++i) {
      if (const auto status = child_.try_wait(); status && *status) return (*status)->shell();
      ::poll(nullptr, 0, 10);
    }
    return -1;
  }

  boost::asio::io_context io_;
  TestDns dns_{io_};
  std::thread thread_;
  Sockets sockets_;
  Child child_;
  UniqueFd errors_;
};

TEST_F(EgressProgram, DialsConfined) {
  const TestCa ca;
  const std::string bytes = pattern(4 * 1024 * 1024);
  Upstream upstream(
      [&](Peer& peer, const std::string& head) -> bool {
        if (head.starts_with("POST")) return peer.write(ok(peer.read(bytes.size())));
        return peer.write(ok(head));
      },
      ca.server({.san = "IP:127.0.0.1"}));
  Upstream plain([](Peer& peer, const std::string&) -> bool { return peer.write(ok("plain")); });
  Grant literal = grant(upstream.port(), "key", "127.0.0.1"), name = grant(80, "key", "*.example.com");
  literal.protocol = Protocol::https;
  name.id = "2";
  Grant unsafe = grant(plain.port(), "key", "127.0.0.1");
  unsafe.id = "3";
  start({.grants = {literal, name, unsafe}, .credential = "key", .upstream_ca = ca.pem()});
  if (HasFatalFailure()) return;

  const auto status = sys::read_file("/proc/" + std::to_string(child_.pid()) + "/status", 64 * 1024);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_NE(status->find("Seccomp:\t2"), std::string::npos) << *status;
  EXPECT_NE(status->find("NoNewPrivs:\t1"), std::string::npos) << *status;
  EXPECT_NE(status->find("Threads:\t1\n"), std::string::npos) << *status;

  Lane lane(sockets_.control.get());
  lane::Request asked = request(upstream.port(), "/v1");
  asked.scheme = "https";
  asked.host = "127.0.0.1";
  asked.slot_filled = true;
  for (int i = 0; i < 3; ++i) {
    const Answer answer = lane.ask(asked);
    ASSERT_TRUE(answer.whole) << (answer.failure ? answer.failure->text : errors());
    EXPECT_NE(answer.body.find("x-api-key: " + std::string(std::strlen(secret), '*')), std::string::npos);
  }
  EXPECT_NE(upstream.heads()[0].find("x-api-key: " + std::string(secret)), std::string::npos);
  EXPECT_EQ(upstream.connections(), 1);

  asked.method = "POST";
  asked.body = lane::BodyKind::length;
  asked.body_length = bytes.size();
  ASSERT_TRUE(lane.send(lane::encode(asked)));
  std::thread sender([&] {
    for (std::string_view rest = bytes; !rest.empty(); rest.remove_prefix(lane::max_body)) {
      lane.send(lane::encode_body(rest.substr(0, lane::max_body)));
    }
    lane.send(lane::encode_end());
  });
  const Answer echoed = lane.answer();
  sender.join();
  EXPECT_TRUE(echoed.body == bytes);

  lane::Request http = request(plain.port());
  http.host = "127.0.0.1";
  http.grant = "3";
  EXPECT_EQ(lane.ask(http).body, "plain");

  // Names: c-ares, confined; and what they lead to.
  lane::Request named = request(80);
  named.grant = "2";
  named.host = "inside.example.com";
  Answer answer = lane.ask(named);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->reason, "address") << answer.failure->text;
  named.host = "unknown.example.com";
  answer = lane.ask(named);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->text, "resolve \"unknown.example.com\": no such name");

  std::map<std::string, int> events;
  for (const auto& event : sockets_.events()) {
    ++events[event["type"]];
    EXPECT_EQ(event.dump().find(secret), std::string::npos);
  }
  EXPECT_EQ(events["credential.use"], 4);
  EXPECT_EQ(events["upstream.request"], 5);
  EXPECT_EQ(events["upstream.failure"], 2);

  sockets_.supervisor.reset();
  EXPECT_EQ(ended(), 0);
  EXPECT_EQ(errors(), "the supervisor is gone\n");
}

TEST_F(EgressProgram, EndsWithEvidence) {
  start({.upstream_ca = TestCa().pem()});
  if (HasFatalFailure()) return;
  sockets_.evidence.reset();
  EXPECT_EQ(ended(), 0);
  EXPECT_EQ(errors(), "evidence is gone\n");
}

TEST_F(EgressProgram, EndsWithoutAConfiguration) {
  auto bad = std::move(sockets_.supervisor);
  ASSERT_TRUE(ipc::send(bad.get(), nlohmann::json{{"credential", "x"}}));
  sockets_.supervisor = std::move(bad);
  const auto program = sys::open(BULKHEAD_EGRESS, O_PATH);
  SpawnOptions spawned;
  spawned.program = program->get();
  spawned.arguments = {"bulkhead-egress"};
  spawned.fds = {-1, -1, -1, sockets_.egress_supervisor.get(), sockets_.egress_evidence.get()};
  auto child = spawn(spawned);
  ASSERT_TRUE(child);
  child_ = std::move(*child);
  EXPECT_EQ(ended(), 125);
}

}  // namespace
}  // namespace bulkhead::egress
