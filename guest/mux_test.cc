// Both ends of the stream in one process: bytes arrive whole and in order, a slow reader holds up only itself, ends and
// breaks are passed on, and what makes no sense is refused.
#include "guest/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "guest/protocol.h"

namespace bulkhead::shim {
namespace {

struct Command {
  UniqueFd control, in, out, err, terminal;  // one side's far ends
};

class MuxTest : public testing::Test {
 protected:
  MuxTest() {
    auto stream = sys::socket_pair(SOCK_STREAM);
    outside_ = std::make_unique<Mux>(std::move(stream->first));
    inside_ = std::make_unique<Mux>(std::move(stream->second), [this](std::uint8_t used) { return begin(used); });
  }

  static Ends ends(Command& far, std::uint8_t used, bool inside) {
    Ends near;
    const auto give = [&](Channel channel, UniqueFd& theirs, bool first_is_near, int type) {
      if ((used >> channel & 1) == 0) return;
      auto pair = type == 0 ? sys::pipe() : sys::socket_pair(type);
      near[channel] = std::move(first_is_near ? pair.value().first : pair.value().second);
      theirs = std::move(first_is_near ? pair->second : pair->first);
      (void)sys::set_nonblocking(theirs.get(), true);
    };
    give(control, far.control, true, SOCK_SEQPACKET);
    give(input, far.in, !inside, 0);
    give(output, far.out, inside, 0);
    give(errors, far.err, inside, 0);
    give(terminal, far.terminal, true, SOCK_STREAM);
    return near;
  }

  Result<Ends> begin(std::uint8_t used) {
    if (refuse_) return fail("no");
    begun_.emplace_back();
    return ends(begun_.back(), used, true);
  }

  // A command with everything; its far ends outside.
  Command open(std::uint8_t used = 0x1f) {
    Command far;
    EXPECT_TRUE(outside_->open(ends(far, used, false)));
    turn();
    return far;
  }

  static Result<void> once(Mux& mux) {
    std::vector<pollfd> fds;
    mux.prepare(fds);
    if (::poll(fds.data(), fds.size(), 0) < 0) return fail("poll", errno);
    return mux.handle(fds);
  }
  void turn(int times = 20) {
    for (int i = 0; i < times; ++i) {
      EXPECT_TRUE(once(*outside_));
      EXPECT_TRUE(once(*inside_));
    }
  }

  static std::string take(int fd) {
    std::string out(1 << 20, '\0');
    const ssize_t n = ::read(fd, out.data(), out.size());
    if (n < 0) return errno == EAGAIN ? "(nothing)" : "(error)";
    out.resize(static_cast<std::size_t>(n));
    return n == 0 ? "(end)" : out;
  }
  static void put(int fd, const std::string& text) {
    ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  std::unique_ptr<Mux> outside_, inside_;
  std::vector<Command> begun_;
  bool refuse_ = false;
};

TEST_F(MuxTest, EachChannelGoesItsWay) {
  Command far = open();
  ASSERT_EQ(begun_.size(), 1U);
  Command& in = begun_[0];
  put(far.in.get(), "typed");
  put(far.control.get(), "first");
  put(far.control.get(), "second");
  put(far.terminal.get(), "key");
  put(in.out.get(), "said");
  put(in.err.get(), "warned");
  put(in.terminal.get(), "shown");
  put(in.control.get(), "answer");
  turn();
  EXPECT_EQ(take(in.in.get()), "typed");
  EXPECT_EQ(take(in.control.get()), "first");
  EXPECT_EQ(take(in.control.get()), "second");
  EXPECT_EQ(take(in.terminal.get()), "key");
  EXPECT_EQ(take(far.out.get()), "said");
  EXPECT_EQ(take(far.err.get()), "warned");
  EXPECT_EQ(take(far.terminal.get()), "shown");
  EXPECT_EQ(take(far.control.get()), "answer");
}

TEST_F(MuxTest, LargeDatagramsComeWhole) {
  Command far = open();
  const std::string large(max_datagram, 'x');
  put(far.control.get(), large);
  put(far.control.get(), "after");
  turn(200);
  EXPECT_EQ(take(begun_[0].control.get()), large);
  turn();
  EXPECT_EQ(take(begun_[0].control.get()), "after");
}

TEST_F(MuxTest, EndsArePassedOn) {
  Command far = open();
  put(far.in.get(), "last");
  far.in.reset();
  turn();
  EXPECT_EQ(take(begun_[0].in.get()), "last");
  EXPECT_EQ(take(begun_[0].in.get()), "(end)");
  begun_[0].err.reset();
  turn();
  EXPECT_EQ(take(far.err.get()), "(end)");
  EXPECT_EQ(take(far.out.get()), "(nothing)");
}

// A reader that goes away is a broken pipe for who writes.
TEST_F(MuxTest, BreaksArePassedOn) {
  Command far = open();
  begun_[0].in.reset();
  far.out.reset();
  turn();
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(::write(far.in.get(), "x", 1), -1);
  EXPECT_EQ(::write(begun_[0].out.get(), "x", 1), -1);
  EXPECT_EQ(take(far.err.get()), "(nothing)");
}

TEST_F(MuxTest, ACommandsEndComesAfterAllItWrote) {
  Command far = open();
  Command& in = begun_[0];
  ASSERT_GT(::fcntl(in.out.get(), F_SETPIPE_SZ, 1 << 20), 0);
  const std::string much(1 << 19, 'x');
  put(in.out.get(), much);
  put(in.control.get(), "gone");
  in.control.reset();  // its output is still open: something it left running has it
  std::string got;
  for (int i = 0; i < 200 && got.size() < much.size(); ++i) {
    turn(2);
    const std::string part = take(far.out.get());
    if (part != "(nothing)") got += part;
  }
  EXPECT_EQ(got.size(), much.size());
  turn();
  EXPECT_EQ(take(far.out.get()), "(end)");
  EXPECT_EQ(take(far.control.get()), "gone");
  EXPECT_EQ(take(far.control.get()), "(end)");
  EXPECT_EQ(outside_->commands(), 0U);
  EXPECT_EQ(inside_->commands(), 0U);
}

// Who goes on writing to it keeps a command's end from nobody.
TEST_F(MuxTest, ACommandsEndDoesNotWaitForWhatItLeft) {
  Command far = open();
  Command& in = begun_[0];
  in.control.reset();
  bool ended = false;
  for (int i = 0; i < 100 && !ended; ++i) {
    (void)!::write(in.out.get(), "still here\n", 11);
    ASSERT_TRUE(once(*inside_));
    (void)!::write(in.out.get(), "still here\n", 11);
    ASSERT_TRUE(once(*outside_));
    (void)take(far.out.get());
    ended = outside_->commands() == 0;
  }
  EXPECT_TRUE(ended);
}

TEST_F(MuxTest, ACallersEndReachesTheCommand) {
  Command far = open();
  far = Command();
  turn();
  EXPECT_EQ(take(begun_[0].control.get()), "(end)");
  begun_[0].control.reset();
  turn();
  EXPECT_EQ(inside_->commands(), 0U);
  EXPECT_EQ(outside_->commands(), 0U);
}

TEST_F(MuxTest, WhoDoesNotReadHoldsUpOnlyItself) {
  Command slow = open(), quick = open();
  const std::string piece(60'000, 'x');
  std::size_t taken = 0;
  for (int i = 0; i < 40; ++i) {
    const ssize_t n = ::write(begun_[0].out.get(), piece.data(), piece.size());
    if (n > 0) taken += static_cast<std::size_t>(n);
    put(begun_[1].out.get(), "tick");
    turn(3);
    EXPECT_EQ(take(quick.out.get()), "tick");
  }
  EXPECT_LT(taken, 600'000U);  // two pipes and a window
  std::size_t got = 0;
  for (int i = 0; i < 200 && got < taken; ++i) {
    const std::string part = take(slow.out.get());
    if (part != "(nothing)") got += part.size();
    turn(2);
  }
  EXPECT_EQ(got, taken);
}

TEST_F(MuxTest, WhatCannotBeBegunIsOver) {
  refuse_ = true;
  Command far = open();
  turn();
  EXPECT_EQ(take(far.control.get()), "(end)");
  EXPECT_EQ(outside_->commands(), 0U);
}

TEST_F(MuxTest, ThereAreNotTooMany) {
  // Four descriptors for each, all of them in this process; a login's 1,024 are too few.
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 8 * max_commands);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  std::vector<Command> far;
  for (std::uint32_t i = 0; i < max_commands; ++i) far.push_back(open(1));
  Command more;
  EXPECT_FALSE(outside_->open(ends(more, 1, false)));
}

// There is something to hear.
Result<void> next_turn(Mux& mux) {
  std::vector<pollfd> fds;
  mux.prepare(fds);
  EXPECT_GT(::poll(fds.data(), fds.size(), 0), 0);
  return mux.handle(fds);
}

// As the other end of a supervisor's: everything that a frame can lie about.
TEST(MuxFrames, NonsenseIsRefused) {
  const auto frame = [](std::uint32_t number, int channel, int kind, const std::string& payload, int size = -1) {
    std::string out;
    for (int i = 0; i < 4; ++i) out += static_cast<char>(number >> (8 * i) & 0xff);
    out += static_cast<char>(channel);
    out += static_cast<char>(kind);
    const auto length = static_cast<unsigned>(size < 0 ? static_cast<int>(payload.size()) : size);
    out += static_cast<char>(length & 0xff);
    out += static_cast<char>(length >> 8);
    return out + payload;
  };
  const std::string room_of_one(std::string("\1\0\0\0", 4));
  const struct {
    const char* what;
    std::string bytes;
    bool fine;
  } cases[] = {
      {"output", frame(1, output, 1, "hello"), true},
      {"a command that was never opened", frame(2, output, 1, "hello"), false},
      {"command 0", frame(0, output, 1, "hello"), false},
      {"no such channel", frame(1, 5, 1, "hello"), false},
      {"no such kind", frame(1, output, 6, "hello"), false},
      {"input from inside", frame(1, input, 1, "hello"), false},
      {"a new command from inside", frame(2, control, 0, std::string(1, 1)), false},
      {"an empty piece", frame(1, output, 1, ""), false},
      {"a longer piece than there are", frame(1, output, 1, "", 40'000), false},
      {"part of a datagram on a stream", frame(1, output, 2, "hello"), false},
      {"output after its end", frame(1, output, 4, "") + frame(1, output, 1, "x"), false},
      {"an end with bytes", frame(1, output, 4, "x"), false},
      {"an end within a datagram", frame(1, control, 2, "part") + frame(1, control, 4, ""), false},
      {"room that was never taken", frame(1, input, 3, room_of_one), false},
      {"room without a number", frame(1, input, 3, "\1"), false},
      {"shut with bytes", frame(1, input, 5, "x"), false},
      {"shut", frame(1, input, 5, ""), true},
  };
  for (const auto& c : cases) {
    auto stream = sys::socket_pair(SOCK_STREAM);
    Mux mux(std::move(stream->first));
    Ends near;
    std::vector<UniqueFd> far;
    for (std::uint8_t channel = 0; channel < channels; ++channel) {
      auto pair = channel == control    ? sys::socket_pair(SOCK_SEQPACKET)
                  : channel == terminal ? sys::socket_pair(SOCK_STREAM)
                                        : sys::pipe();
      near[channel] = std::move(channel == input ? pair->first : pair->second);
      far.push_back(std::move(channel == input ? pair->second : pair->first));
    }
    ASSERT_TRUE(mux.open(std::move(near)));
    ASSERT_EQ(::write(stream->second.get(), c.bytes.data(), c.bytes.size()), static_cast<ssize_t>(c.bytes.size()));
    EXPECT_EQ(next_turn(mux).has_value(), c.fine) << c.what;
  }
}

// The other end has gone; what it said before goes on, and then the local ends close.
TEST_F(MuxTest, WhatCameBeforeTheEndArrives) {
  Command far = open(1U << control | 1U << output);
  put(begun_[0].out.get(), std::string(60'000, 'x'));
  put(begun_[0].out.get(), "y");
  put(begun_[0].control.get(), "bye");
  // A full pipe, so that some of it has to wait here.
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(once(*inside_));
  inside_.reset();
  std::string out;
  int ends = 0;
  for (int i = 0; i < 20 && outside_->commands() > 0; ++i) {
    if (const auto done = once(*outside_); !done) {
      EXPECT_EQ(done.error().code, EPIPE);
      ++ends;
    }
    if (const std::string part = take(far.out.get()); part[0] != '(') out += part;
  }
  EXPECT_GT(ends, 0);
  EXPECT_FALSE(outside_->open({}));
  EXPECT_EQ(out.size(), 60'001U);
  EXPECT_EQ(take(far.out.get()), "(end)");
  EXPECT_EQ(take(far.control.get()), "bye");
  EXPECT_EQ(take(far.control.get()), "(end)");
  EXPECT_EQ(outside_->commands(), 0U);
}

// Many small datagrams are held to the window as few large ones are.
TEST(MuxFrames, ADatagramCostsMoreThanItsBytes) {
  auto stream = sys::socket_pair(SOCK_STREAM);
  Mux mux(std::move(stream->first));
  Ends near;
  auto control_pair = sys::socket_pair(SOCK_SEQPACKET);
  near[control] = std::move(control_pair->first);
  ASSERT_TRUE(mux.open(std::move(near)));
  std::string flood;
  for (int i = 0; i < 1000; ++i)
    flood += std::string("\1\0\0\0", 4) + static_cast<char>(control) + '\1' + '\1' + '\0' + "x";
  Result<void> done;
  int times = 0;
  for (; times < 100 && done; ++times) {  // nobody reads what is said about the command
    ASSERT_EQ(::write(stream->second.get(), flood.data(), flood.size()), static_cast<ssize_t>(flood.size()));
    done = next_turn(mux);
  }
  EXPECT_FALSE(done);
  EXPECT_LT(times, 20);
}

// More than a channel's window, without having been told that there is room.
TEST(MuxFrames, AFloodIsRefused) {
  auto stream = sys::socket_pair(SOCK_STREAM);
  Mux mux(std::move(stream->first));
  Ends near;
  auto control_pair = sys::socket_pair(SOCK_SEQPACKET);
  auto pipe = sys::pipe();
  near[control] = std::move(control_pair->first);
  near[output] = std::move(pipe->second);
  ASSERT_TRUE(mux.open(std::move(near)));
  std::string flood = std::string("\1\0\0\0", 4) + static_cast<char>(output) + '\1' + '\0' + '\x40';  // 16 KiB
  flood += std::string(16 * 1024, 'x');
  Result<void> done;
  for (int i = 0; i < 40 && done; ++i) {
    ASSERT_EQ(::write(stream->second.get(), flood.data(), flood.size()), static_cast<ssize_t>(flood.size()));
    done = next_turn(mux);
  }
  EXPECT_FALSE(done);
}

}  // namespace
}  // namespace bulkhead::shim
