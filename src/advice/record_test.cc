#include "advice/record.h"

#include "advice/test_help.h"
#include "base/sys.h"

namespace bulkhead::advice {
namespace {

using testing_help::line_of;
using testing_help::request_line;

template <class T>
T must(const std::string& line) {
  const auto event = read_event(line);
  EXPECT_TRUE(event && std::holds_alternative<T>(*event)) << line;
  return event && std::holds_alternative<T>(*event) ? std::get<T>(*event) : T{};
}

TEST(Record, ReadsARequest) {
  const auto request = must<RecordedRequest>(request_line(
      {.method = "POST",
       .path = "/v1/x?a=1",
       .allowed = true,
       .grant = "2",
       .more =
           R"("body":"length","length":12,"content_type":"application/json","credentials":["x-api-key"],"slot":true)",
       .up = 12}));
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.host, "api.example.com");
  EXPECT_EQ(request.target, "/v1/x?a=1");
  EXPECT_TRUE(request.allowed);
  EXPECT_EQ(request.grant, "2");
  EXPECT_EQ(request.up, 12U);
  EXPECT_TRUE(request.detailed);
  EXPECT_EQ(request.body, RecordedRequest::Body::length);
  EXPECT_EQ(request.length, 12U);
  EXPECT_EQ(request.content_type, "application/json");
  EXPECT_EQ(request.credentials, std::vector<std::string>{"x-api-key"});
  EXPECT_TRUE(request.slot);
  EXPECT_EQ(request.time, "2026-01-02T03:04:05.678901Z");
}

TEST(Record, OlderEvidenceHasNoDetails) {
  const auto request = must<RecordedRequest>(request_line({}));
  EXPECT_FALSE(request.detailed);
  EXPECT_EQ(request.rule, "no-grant");
}

TEST(Record, WhatNoReaderTookForARequestHasNoMethod) {
  const auto request = must<RecordedRequest>(
      line_of("http.request", R"("host":"example.com","port":443,"decision":"deny","rule":"gate","status":400)"));
  EXPECT_TRUE(request.method.empty());
}

TEST(Record, ReadsTheSessionsPolicy) {
  const auto policy = must<SessionPolicy>(line_of(
      "session.policy",
      R"("policy":{"grants":[{"id":"1","hosts":["a.example"],"credential":"k","allow":["GET /a","POST /b"],)"
      R"("fingerprints":["x","y"],"fingerprint":"z"},{"id":"2","hosts":["b"],"allow":["GET /"],"fingerprints":[]}]})",
      "supervisor"));
  ASSERT_EQ(policy.grants.size(), 2U);
  EXPECT_EQ(policy.grants.at("1").credential, "k");
  EXPECT_EQ(policy.grants.at("1").fingerprints, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(policy.grants.at("2").fingerprints.empty());
}

TEST(Record, AnAnswerAtTheTerminalIsAPolicyOnceItGrants) {
  const auto policy = must<SessionPolicy>(line_of(
      "ask.answer", R"("answer":"once","grants":["2"],"policy":{"grants":[{"id":"1","allow":["GET /a"]},{"id":"2"}]})",
      "supervisor"));
  EXPECT_EQ(policy.grants.size(), 2U);
  EXPECT_TRUE(must<OtherEvent>(line_of("ask.answer", R"("answer":"no")", "supervisor")).type == "ask.answer");
  EXPECT_TRUE(std::holds_alternative<OtherEvent>(*read_event(line_of("ask.answer", R"("policy":{"grants":[]})"))));
}

TEST(Record, OnlyTheRightSourceCounts) {
  const std::string fields = R"("host":"h","port":1,"decision":"deny","method":"GET")";
  EXPECT_TRUE(std::holds_alternative<RecordedRequest>(*read_event(line_of("http.request", fields))));
  for (const char* source : {"supervisor", "egress:", "egress:k", "evidence", "frontx"}) {
    EXPECT_TRUE(std::holds_alternative<OtherEvent>(*read_event(line_of("http.request", fields, source)))) << source;
  }
  EXPECT_TRUE(std::holds_alternative<OtherEvent>(*read_event(line_of("session.start", R"("profile":"x")", "front"))));
}

TEST(Record, RefusesWhatIsNoLineOfEvidence) {
  const std::string good = request_line({});
  ASSERT_TRUE(read_event(good));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string line = good;
    const std::size_t at = line.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return read_event(line.replace(at, from.size(), to));
  };
  EXPECT_FALSE(with("\"v\":1", "\"v\":2"));
  EXPECT_FALSE(with("\"v\":1", "\"v\":1.0"));
  EXPECT_FALSE(with("\"port\":443", "\"port\":65536"));
  EXPECT_FALSE(with("\"port\":443", "\"port\":-1"));
  EXPECT_FALSE(with("\"port\":443", "\"port\":\"443\""));
  EXPECT_FALSE(with("\"decision\":\"deny\"", "\"decision\":\"maybe\""));
  EXPECT_FALSE(with("\"decision\":\"deny\"", "\"decision\":\"allow\""));  // allowed by no grant
  EXPECT_FALSE(with("\"port\":443", "\"port\":443,\"port\":80"));         // two readers, two ports
  EXPECT_FALSE(with("GET", "\xff\xfe"));
  EXPECT_FALSE(read_event(good.substr(0, good.size() - 1)));
  EXPECT_FALSE(read_event(good + "x"));
  EXPECT_FALSE(read_event(""));
  EXPECT_FALSE(read_event("[]"));
  EXPECT_FALSE(read_event("true"));
  EXPECT_FALSE(read_event("null"));
  EXPECT_FALSE(read_event(std::string(70'000, ' ')));
  EXPECT_FALSE(read_event(line_of("x", "\"a\":" + std::string(3000, '[') + std::string(3000, ']'))));
  EXPECT_TRUE(read_event(line_of("x", "\"a\":{\"b\":[1,{\"c\":null}]}")));
}

RecordReader reader_of(const std::string& text) {
  auto file = sys::memory_file("record", text);
  EXPECT_TRUE(file);
  return RecordReader(std::move(*file), "record");
}

TEST(RecordReader, PassesBrokenLinesOver) {
  const std::string good = request_line({}) + "\n";
  RecordReader reader = reader_of(good + "{}\n" + std::string(200'000, 'x') + "\n" + good + "\n" + good + "{\"v\":1");
  int events = 0;
  for (;;) {
    auto event = reader.next();
    ASSERT_TRUE(event);
    if (!*event) break;
    ++events;
  }
  EXPECT_EQ(events, 3);
  EXPECT_EQ(reader.broken(), 4U);
}

TEST(RecordReader, ReadsFarMoreThanItHolds) {
  std::string text;
  const std::string line = request_line({.path = "/" + std::string(500, 'a')}) + "\n";
  for (int i = 0; i < 3000; ++i) text += line;
  RecordReader reader = reader_of(text);
  std::uint64_t events = 0;
  for (auto event = reader.next(); event && *event; event = reader.next()) ++events;
  EXPECT_EQ(events, 3000U);
  EXPECT_EQ(reader.broken(), 0U);
  EXPECT_EQ(reader.lines(), 3000U);
}

TEST(RecordReader, AnEmptyFileHasNoEvents) {
  RecordReader reader = reader_of("");
  const auto event = reader.next();
  ASSERT_TRUE(event);
  EXPECT_FALSE(event->has_value());
}

TEST(Record, Times) {
  EXPECT_EQ(time_of("1970-01-01T00:00:00.000001Z"), 1);
  EXPECT_EQ(time_of("2026-01-02T03:04:05.678901Z"), 1767323045678901);
  for (const char* bad : {"", "2026-01-02T03:04:05Z", "2026-13-02T03:04:05.678901Z", "2026-02-30T03:04:05.678901Z",
                          "2026-01-02T24:04:05.678901Z", "2026-01-02T03:04:05.67890aZ", "2026-01-02 03:04:05.678901Z",
                          "-026-01-02T03:04:05.678901Z"}) {
    EXPECT_FALSE(time_of(bad)) << bad;
  }
}

}  // namespace
}  // namespace bulkhead::advice
