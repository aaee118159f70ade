#include "credential/credential.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>

#include "base/ipc.h"
#include "base/process.h"
#include "base/sys.h"
#include "credential/handover.h"
#include "credential/request.h"

namespace bulkhead {
namespace {

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);

Credential credential(Credential::Source source, std::string value) {
  Credential c;
  c.name = "anthropic";
  c.source = source;
  c.source_value = std::move(value);
  return c;
}

struct Folder {
  Folder() {
    char name[] = "/tmp/bulkhead-credential-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { [[maybe_unused]] const int n = ::system(("rm -rf " + path).c_str()); }
  std::string write(const std::string& text, mode_t mode = 0600) const {
    const std::string file = path + "/key";
    std::ofstream(file) << text;
    ::chmod(file.c_str(), mode);
    return file;
  }
  std::string path;
};

TEST(Secret, MovesAndLeavesNothingBehind) {
  Secret a("sk-secret");
  const Secret b(std::move(a));
  EXPECT_EQ(b.reveal(), "sk-secret");
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that is the point
  std::string text = "something to wipe that is longer than the small buffer";
  const char* data = text.data();
  const std::size_t size = text.size();
  wipe(text);
  for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(data[i], '\0');
}

TEST(Token, PrefixWordAnd256Bits) {
  std::set<std::string> seen;
  for (int i = 0; i < 50; ++i) {
    const std::string token = make_token("sk-ant-api03-");
    EXPECT_TRUE(token.starts_with("sk-ant-api03-bulkhead-"));
    EXPECT_EQ(token.size(), std::string("sk-ant-api03-bulkhead-").size() + 64);
    EXPECT_TRUE(seen.insert(token).second);
  }
  Credential c = credential(Credential::Source::env, "X");
  c.carrier = Credential::Carrier::basic;
  c.basic_user = "git";
  const TokenSlot slot = make_slot(c);
  EXPECT_EQ(slot.credential, "anthropic");
  EXPECT_EQ(slot.basic_user, "git");
  EXPECT_TRUE(slot.token.starts_with("bulkhead-"));
}

TEST(Exchange, EachCarrier) {
  const Secret secret("s3cret/+=");
  TokenSlot slot;
  slot.carrier = Credential::Carrier::header;
  slot.header = "X-Api-Key";
  EXPECT_EQ(exchange(slot, secret)->name, "x-api-key");
  EXPECT_EQ(exchange(slot, secret)->value.reveal(), "s3cret/+=");
  slot.carrier = Credential::Carrier::bearer;
  EXPECT_EQ(exchange(slot, secret)->name, "authorization");
  EXPECT_EQ(exchange(slot, secret)->value.reveal(), "Bearer s3cret/+=");
  slot.carrier = Credential::Carrier::basic;
  slot.basic_user = "Aladdin";  // RFC 7617's own example
  EXPECT_EQ(exchange(slot, Secret("open sesame"))->value.reveal(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  slot.basic_user = "a:b";
  EXPECT_FALSE(exchange(slot, secret));
  EXPECT_FALSE(exchange(TokenSlot{}, secret));  // header without a name
  slot.basic_user = "a";
  EXPECT_FALSE(exchange(slot, Secret()));
}

TEST(Source, Environment) {
  const Credential c = credential(Credential::Source::env, "ANTHROPIC_API_KEY");
  const SourceContext with{{"ANTHROPIC_API_KEYS=no", "ANTHROPIC_API_KEY=sk-real-value"}};
  ASSERT_TRUE(read_secret(c, with));
  EXPECT_EQ(read_secret(c, with)->secret.reveal(), "sk-real-value");
  EXPECT_TRUE(read_secret(c, with)->notes.empty());
  const auto missing = read_secret(c, SourceContext{{"ANTHROPIC_API_KEYS=no"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_EQ(missing.error().message,
            "credential \"anthropic\": ANTHROPIC_API_KEY is not set; set it, or mark the "
            "credential optional");
  Credential optional = c;
  optional.optional = true;
  EXPECT_EQ(read_secret(optional, SourceContext{{"X=y"}}).error().message,
            "credential \"anthropic\": ANTHROPIC_API_KEY is not set; set it");
  EXPECT_FALSE(read_secret(c, SourceContext{{"ANTHROPIC_API_KEY="}}));
}

TEST(Source, RefusesWhatCannotTravelInAHeader) {
  const auto read = [](const std::string& value, Credential::Carrier carrier = Credential::Carrier::header) {
    Credential c = credential(Credential::Source::env, "K");
    c.carrier = carrier;
    return read_secret(c, SourceContext{{("K=" + value).c_str()}});
  };
  EXPECT_FALSE(read("abc\r\nx-evil: 1"));
  EXPECT_FALSE(read("abc\ndefgh"));
  EXPECT_FALSE(read("abc\rdefgh"));
  EXPECT_FALSE(read("abcdefgh\n\n"));
  EXPECT_FALSE(read("abcdefgh\r"));  // a lone CR is no line end
  EXPECT_FALSE(read(" abcdefgh"));
  EXPECT_FALSE(read("abcdefgh "));
  EXPECT_TRUE(read("abcdefgh ", Credential::Carrier::basic));
  EXPECT_EQ(read("abcdefgh\n")->secret.reveal(), "abcdefgh");
  EXPECT_EQ(read("abcdefgh\r\n")->secret.reveal(), "abcdefgh");
  EXPECT_TRUE(read(std::string(max_secret, 'a')));
  const auto long_one = read(std::string(max_secret + 1, 'a'));
  ASSERT_FALSE(long_one);
  EXPECT_EQ(long_one.error().message.find("aaaa"),
            std::string::npos);  // errors never quote the secret
  EXPECT_EQ(read("short")->notes.size(), 1U);
}

TEST(Source, File) {
  const Folder folder;
  const std::string path = folder.write("file-secret\n");
  const auto good = read_secret(credential(Credential::Source::file, path), {});
  ASSERT_TRUE(good);
  EXPECT_EQ(good->secret.reveal(), "file-secret");
  EXPECT_TRUE(good->notes.empty());
  EXPECT_EQ(
      read_secret(credential(Credential::Source::file, "~/key"), {{("HOME=" + folder.path).c_str()}})->secret.reveal(),
      "file-secret");
  EXPECT_FALSE(read_secret(credential(Credential::Source::file, "~/key"), {}));

  ::chmod(path.c_str(), 0644);
  EXPECT_EQ(read_secret(credential(Credential::Source::file, path), {})->notes.size(), 1U);

  const auto missing = read_secret(credential(Credential::Source::file, folder.path + "/none"), {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_FALSE(read_secret(credential(Credential::Source::file, folder.path), {}));
  folder.write(std::string("abc\0defgh", 9));
  EXPECT_FALSE(read_secret(credential(Credential::Source::file, path), {}));
  folder.write(std::string(max_source_read + 1, 'x'));
  EXPECT_FALSE(read_secret(credential(Credential::Source::file, path), {}));

  const std::string fifo = folder.path + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const auto pipe = read_secret(credential(Credential::Source::file, fifo), {});  // must not hang
  ASSERT_FALSE(pipe);
  EXPECT_NE(pipe.error().message.find("not a regular file"), std::string::npos);
}

TEST(Source, Command) {
  const auto run = [](const std::string& command, int timeout_ms = 5000) {
    return read_secret(
        credential(Credential::Source::command, command),
        {{"PATH=/usr/bin:/bin", "GREETING=from-the-environment"}, std::chrono::milliseconds(timeout_ms)});
  };
  EXPECT_EQ(run("printf '%s\\n' \"$GREETING\"")->secret.reveal(), "from-the-environment");
  const auto status = run("exit 3");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("status 3"), std::string::npos);
  EXPECT_FALSE(run("true"));
  EXPECT_FALSE(run("head -c 70000 /dev/zero | tr '\\0' x"));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(run("sleep 20", 200).error().code, ETIMEDOUT);
  EXPECT_EQ(run("echo secret-is-here; exec >&-; sleep 20", 200).error().code, ETIMEDOUT);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
  // Nothing but what was passed: the parent's environment does not leak in.
  ::setenv("BULKHEAD_TEST_LEAK", "leaked-from-the-parent", 1);
  EXPECT_FALSE(run("printf %s \"$BULKHEAD_TEST_LEAK\""));
  ::unsetenv("BULKHEAD_TEST_LEAK");
}

// Programs of the test's own, where the real ones would be found.
struct StandIn : Folder {
  void program(const std::string& name, const std::string& body) const {
    const std::string file = path + "/" + name;
    std::ofstream(file) << "#!/bin/sh\n" << body;
    ::chmod(file.c_str(), 0755);
  }
  Result<SourceRead> read(Credential::Source source, const std::string& value,
                          std::vector<std::string> more = {}) const {
    more.push_back("PATH=" + path + ":/usr/bin:/bin");
    more.push_back("HOME=" + path);
    SourceContext context;
    for (const std::string& entry : more) context.environment.push_back(entry.c_str());
    context.command_timeout = std::chrono::milliseconds(5000);
    return read_secret(credential(source, value), context);
  }
};

TEST(Source, SecretService) {
  using enum Credential::Source;
  const StandIn here;
  SourceContext nowhere{{"PATH=/nonexistent"}};
  auto read = read_secret(credential(secret_service, "service=x"), nowhere);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ENOENT);
  EXPECT_NE(read.error().message.find("apt-get install libsecret-tools"), std::string::npos);

  here.program("secret-tool",
               "[ \"$*\" = 'lookup service example account me and you' ] && printf keyring-secret\n"
               "env > " +
                   here.path + "/seen\n");
  read = here.read(secret_service, "service=example,account=me and you",
                   {"OTHER_SECRET=not for it", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/bus"});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->secret.reveal(), "keyring-secret");
  std::ifstream opened(here.path + "/seen");
  const std::string seen{std::istreambuf_iterator<char>(opened), {}};
  EXPECT_NE(seen.find("DBUS_SESSION_BUS_ADDRESS=unix:path=/run/bus"), std::string::npos);
  EXPECT_EQ(seen.find("OTHER_SECRET"), std::string::npos);

  here.program("secret-tool", "exit 1\n");  // as it does when there is no such item
  read = here.read(secret_service, "service=example");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ENOENT);
  EXPECT_NE(read.error().message.find("the keyring has nothing with service=example"), std::string::npos);

  here.program("secret-tool", "echo 'Cannot autolaunch \033[2JD-Bus' >&2; exit 1\n");
  read = here.read(secret_service, "service=example");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().code, ENOENT);
  EXPECT_NE(read.error().message.find("Cannot autolaunch"), std::string::npos);
  EXPECT_EQ(read.error().message.find('\033'), std::string::npos);
}

TEST(Source, SystemdCreds) {
  using enum Credential::Source;
  const StandIn here;
  here.write("unit-secret\n", 0400);
  auto read = here.read(systemd_creds, "key", {"CREDENTIALS_DIRECTORY=" + here.path});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->secret.reveal(), "unit-secret");
  read = here.read(systemd_creds, "other", {"CREDENTIALS_DIRECTORY=" + here.path});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ENOENT);
  EXPECT_NE(read.error().message.find("LoadCredentialEncrypted=other"), std::string::npos);
  EXPECT_EQ(here.read(systemd_creds, "no-such-credential").error().code, ENOENT);

  here.program("systemd-creds", "[ \"$1 $3\" = 'decrypt -' ] && printf 'decrypted from %s' \"${2##*/}\"\n");
  read = here.read(systemd_creds, "~/key");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->secret.reveal(), "decrypted from key");
  here.program("systemd-creds", "echo 'Failed to decrypt: no host key' >&2; exit 1\n");
  read = here.read(systemd_creds, here.path + "/key");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("no host key"), std::string::npos);
  EXPECT_EQ(here.read(systemd_creds, here.path + "/none").error().code, ENOENT);
}

// The whole process: what it is told and says, and where the values go.
class Reader : public testing::Test {
 protected:
  void SetUp() override {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's own system calls are not in the allow-lists";
#endif
  }
  void start(const std::vector<Credential>& credentials, const std::vector<const char*>& environment) {
    const auto program = sys::open(BULKHEAD_CREDENTIAL, O_PATH);
    auto control = sys::socket_pair(SOCK_SEQPACKET);
    auto errors = sys::pipe();
    SpawnOptions options;
    options.program = program->get();
    options.arguments = {"bulkhead-credential"};
    options.borrowed_environment = environment;
    options.fds = {-1, -1, errors->second.get(), control->second.get()};
    child_ = std::move(*spawn(options));
    control_ = std::move(control->first);
    errors_ = std::move(errors->first);
    ReadRequest request;
    request.recipients.assign(credentials.size(), 1);
    request.credentials = credentials;
    std::vector<int> fds;
    std::vector<UniqueFd> theirs;
    for (std::size_t i = 0; i < credentials.size(); ++i) {
      auto pair = sys::socket_pair(SOCK_SEQPACKET);
      sockets_.push_back(std::move(pair->first));
      fds.push_back(pair->second.get());
      theirs.push_back(std::move(pair->second));
    }
    ASSERT_TRUE(ipc::send(control_.get(), to_json(request), fds));
  }
  std::vector<ReadResult> results() {
    auto message = ipc::receive(control_.get());
    if (!message || message->closed) return {};
    EXPECT_EQ(message->text.find("secret-value"), std::string::npos);
    return *read_results_from(*ipc::parse(message->text));
  }
  Child child_;
  UniqueFd control_, errors_;
  std::vector<UniqueFd> sockets_;
};

TEST_F(Reader, GivesEachToItsOwnerAndEnds) {
  Credential first = credential(Credential::Source::env, "A"),
             second = credential(Credential::Source::command, "echo $B");
  Credential missing = credential(Credential::Source::env, "C");
  second.name = "second";
  missing.name = "missing";
  start({first, second, missing}, {"A=secret-value-a", "B=secret-value-b", "PATH=/usr/bin:/bin"});
  const auto read = results();
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0].error + read[1].error, "");
  EXPECT_TRUE(read[2].missing);
  // Nothing goes anywhere before it is told to, and meanwhile nobody may look.
  char byte = 0;
  EXPECT_LT(::recv(sockets_[0].get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT), 0);
  if (::geteuid() != 0) EXPECT_FALSE(sys::open("/proc/" + std::to_string(child_.pid()) + "/environ", O_RDONLY));
  const auto status = sys::read_file("/proc/" + std::to_string(child_.pid()) + "/status", 64 * 1024);
  EXPECT_NE(status->find("Seccomp:\t2"), std::string::npos);
  EXPECT_NE(status->find("NoNewPrivs:\t1"), std::string::npos);

  ASSERT_TRUE(ipc::send(control_.get(), std::string_view(R"({"type":"release"})")));
  EXPECT_EQ(take_over(sockets_[0].get())->reveal(), "secret-value-a");
  EXPECT_EQ(take_over(sockets_[1].get())->reveal(), "secret-value-b");
  EXPECT_FALSE(take_over(sockets_[2].get()));
  EXPECT_EQ(child_.wait()->shell(), 0);
}

TEST_F(Reader, WithoutASessionNothingIsGiven) {
  start({credential(Credential::Source::env, "A")}, {"A=secret-value-a"});
  ASSERT_EQ(results().size(), 1U);
  control_.reset();
  EXPECT_EQ(child_.wait()->shell(), 0);
  EXPECT_FALSE(take_over(sockets_[0].get()));
}

TEST_F(Reader, NonsenseEndsIt) {
  start({}, {});
  ASSERT_EQ(results().size(), 0U);
  ASSERT_TRUE(ipc::send(control_.get(), std::string_view("{}")));
  EXPECT_EQ(child_.wait()->shell(), 125);
}

}  // namespace
}  // namespace bulkhead
