#include "trust/reader.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/install.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "trust/look.h"

namespace bulkhead::trust {
namespace {

constexpr int patience = 3000;       // ms for one file
constexpr std::size_t max_lost = 3;  // then nothing more is read: a project must not keep a start waiting

}  // namespace

Result<void> Reader::start() {
  if (lost_ >= max_lost) return fail("too many were not answered for");
  BH_TRY(const UniqueFd program, open_helper("bulkhead-look"));
  BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
  SpawnOptions options;
  options.program = program.get();
  options.arguments = {"bulkhead-look"};
  options.fds = {-1, -1, -1, pair.second.get()};
  BH_TRY(child_, spawn(options));
  socket_ = std::move(pair.first);
  return {};
}

Result<Judgement> Reader::ask(const Rule& rule, std::string_view bytes) {
  if (!socket_) BH_CHECK(start());
  const auto answered = [&]() -> Result<Judgement> {
    BH_TRY(const UniqueFd file, sys::memory_file("bulkhead-look", bytes));
    const int passed = file.get();
    BH_CHECK(ipc::send(socket_.get(), look_request(rule), std::span(&passed, 1)));
    pollfd p{socket_.get(), POLLIN, 0};
    int ready = 0;
    do {
      ready = ::poll(&p, 1, patience);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) return fail("it took too long");
    BH_TRY(const ipc::Message message, ipc::receive(socket_.get()));
    if (message.closed) return fail("its reader ended");
    return judgement_from(message.text);
  };
  auto judgement = answered();
  if (!judgement) {
    // Whatever became of it: the next file gets another one.
    ++lost_;
    socket_.reset();
    child_.kill_and_wait();
  }
  return judgement;
}

Judgement Reader::judge(const Rule& rule, const Content& content) {
  if (auto known = judged_unread(rule, content)) return *known;
  Judgement out;
  if (rule.format == Format::git_config) {
    out = judge_bytes(rule, content.bytes);
  } else if (auto said = ask(rule, content.bytes)) {
    out = std::move(*said);
  } else {
    out.does = {"could not be looked into (" + said.error().message + "), so it counts as it is"};
  }
  // No file of such a rule is harmless by what is in it, whoever says so.
  if (rule.harmless.empty() && rule.format != Format::git_config) out.counts = true;
  say_link(content, out);
  return out;
}

bool Reader::strongest(const Catalogue& catalogue, const std::vector<std::size_t>& rules, const Content& content,
                       std::size_t& rule, std::vector<std::string>& does) {
  std::vector<std::size_t> order = rules;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(catalogue.rule(a).kind, a) < std::pair(catalogue.rule(b).kind, b);
  });
  for (const std::size_t id : order) {
    Judgement one = judge(catalogue.rule(id), content);
    if (!one.counts) continue;
    rule = id;
    does = std::move(one.does);
    return true;
  }
  return false;
}

}  // namespace bulkhead::trust
