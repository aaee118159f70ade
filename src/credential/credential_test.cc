#include "credential/credential.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <set>
#include <type_traits>

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
  EXPECT_FALSE(read_secret(c, SourceContext{{"ANTHROPIC_API_KEY="}}));
}

TEST(Source, RefusesWhatCannotTravelInAHeader) {
  const auto read = [](const std::string& value, Credential::Carrier carrier = Credential::Carrier::header) {
    Credential c = credential(Credential::Source::env, "K");
    c.carrier = carrier;
    return read_secret(c, SourceContext{{"K=" + value}});
  };
  EXPECT_FALSE(read("abc\r\nx-evil: 1"));
  EXPECT_FALSE(read("abc\ndefgh"));
  EXPECT_FALSE(read("abc\rdefgh"));
  EXPECT_FALSE(read(std::string("abc\0defgh", 9)));
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
  EXPECT_EQ(read_secret(credential(Credential::Source::file, "~/key"), {{"HOME=" + folder.path}})->secret.reveal(),
            "file-secret");
  EXPECT_FALSE(read_secret(credential(Credential::Source::file, "~/key"), {}));

  ::chmod(path.c_str(), 0644);
  EXPECT_EQ(read_secret(credential(Credential::Source::file, path), {})->notes.size(), 1U);

  const auto missing = read_secret(credential(Credential::Source::file, folder.path + "/none"), {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_FALSE(read_secret(credential(Credential::Source::file, folder.path), {}));
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

}  // namespace
}  // namespace bulkhead
