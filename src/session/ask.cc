#include "session/ask.h"

#include <errno.h>
#include <poll.h>

#include "base/ipc.h"
#include "base/text.h"
#include "evidence/evidence.h"
#include "policy/profile.h"
#include "session/owner.h"
#include "session/terminal/terminal.h"

namespace bulkhead::session {
namespace {

constexpr const char* answered = "ask.answer";
constexpr std::size_t most_unsaid = 64;  // front has fewer that wait for one

}  // namespace

Result<void> Answers::add(std::uint64_t number) {
  unsaid_.push_back(number);
  return flush();
}

Result<void> Answers::flush() {
  while (!unsaid_.empty()) {
    pollfd p{front_, POLLOUT, 0};
    if (::poll(&p, 1, 0) <= 0) break;
    auto sent = ipc::send(front_, question_word("answered", unsaid_.front()));
    // One that is gone is seen elsewhere.
    if (!sent && sent.error().code != EPIPE && sent.error().code != ECONNRESET) return sent;
    unsaid_.pop_front();
  }
  if (unsaid_.size() > most_unsaid) return fail("front asks and does not hear, so the session was stopped");
  return {};
}

std::string why_not_asked(const char* terminal_kind) {
  const std::string_view kind = terminal_kind == nullptr ? "" : terminal_kind;
  if (!layout_of({0, 1, 2}).raw) return "there is no terminal to ask at";
  if (kind.empty() || kind == "dumb") return "this terminal can't show a question by itself (TERM)";
  return {};
}

class Ask::World final : public AskWorld {
 public:
  World(Terminal& terminal, Owner& owner, evidence::Recorder& recorder, int front, PolicyFile* file,
        std::string session)
      : terminal_(terminal),
        owner_(owner),
        recorder_(recorder),
        answers_(front),
        file_(file),
        why_(std::move(session)) {}

  shim::WindowSize window() const override { return terminal_.window(); }
  bool show(const std::vector<std::string>& lines, const std::string& keys) override {
    return terminal_.ask(lines, keys, 'n');
  }
  bool showing() const override { return terminal_.asking(); }
  std::optional<char> key() override { return terminal_.answered(); }
  void hide() override { terminal_.end_question(); }

  bool busy() const override { return owner_.busy(); }
  const std::vector<Grant>& held() const override { return owner_.held(); }
  Result<void> can_grant(const std::vector<Grant>& grants) const override { return owner_.can_grant(grants); }
  Result<std::vector<std::string>> grant(const std::vector<Grant>& grants, bool kept, nlohmann::json fields) override {
    return owner_.grant(grants, kept, answered, std::move(fields));
  }
  Result<void> withdraw(const std::vector<std::string>& ids) override { return owner_.withdraw(ids); }
  Result<void> keep(const std::string& toml) override {
    if (file_ == nullptr) return fail("there is no policy file to write to");
    return file_->append(toml, why_);
  }
  Result<void> record(const char* type, const nlohmann::json& fields) override {
    return recorder_.record(type, fields);
  }
  Result<void> answer(std::uint64_t number) override { return answers_.add(number); }
  Result<void> flush() { return answers_.flush(); }

 private:
  Terminal& terminal_;
  Owner& owner_;
  evidence::Recorder& recorder_;
  Answers answers_;
  PolicyFile* const file_;
  const std::string why_;
};

Ask::Ask() = default;
Ask::~Ask() = default;

Result<void> Ask::prepare(const Options& options, bool keeps) {
  const PolicyRequest& request = options.request;
  const PresetFolders folders{request.data_dir + "/presets", request.user_presets};
  known_.presets = standalone_presets(request.data_dir, folders, {"answer", "", 0});
  known_.credentials = options.policy.credentials;
  if (!keeps) {
    no_file_ = "the session gave up root, whose policy file it would be";
    return {};
  }
  const std::string& file = request.policy_file.empty() ? request.user_file : request.policy_file;
  if (auto opened = PolicyFile::open(absolute_path(file, request.place)); opened) {
    file_ = std::move(*opened);
  } else {
    no_file_ = opened.error().message;
  }
  return {};
}

void Ask::begin(const Options& options, Terminal& terminal, Owner& owner, evidence::Recorder& recorder, int front) {
  AskShown shown;
  shown.command = join(options.command, " ");
  if (file_) shown.file = file_->path();
  shown.no_file = no_file_;
  for (const auto& [name, credential] : options.policy.credentials) {
    const std::string& layer = credential.origin.layer;  // policy/effective.cc's words for that file
    if (layer == "user" || layer == "policy file") shown.credentials.insert(name);
  }
  const AskBounds bounds;
  shown.left = std::chrono::duration_cast<std::chrono::seconds>(bounds.patience);
  world_ = std::make_unique<World>(terminal, owner, recorder, front, file_ ? &*file_ : nullptr,
                                   "allowed at the terminal, by `bulkhead run --ask`");
  asking_.emplace(*world_, std::move(known_), std::move(shown), bounds);
}

Result<bool> Ask::heard(const nlohmann::json& message) {
  const auto type = message.find("type");
  if (!asking_ || type == message.end()) return false;
  const Clock::time_point now = Clock::now();
  if (*type == "question") {
    BH_TRY(Question question, question_from(message));
    BH_CHECK(asking_->asked(std::move(question), now));
    return true;
  }
  if (*type != "ended") return false;
  BH_TRY(const std::uint64_t number, question_word_from(message));
  BH_CHECK(asking_->ended(number, now));
  return true;
}

Result<void> Ask::step(Clock::time_point now) {
  if (!asking_) return {};
  BH_CHECK(world_->flush());
  return asking_->step(now);
}

std::optional<Ask::Clock::time_point> Ask::deadline() const {
  return asking_ ? asking_->deadline() : std::nullopt;
}

Result<void> Ask::resized() {
  return asking_ ? asking_->resized(Clock::now()) : Result<void>();
}

Result<void> Ask::close() {
  return asking_ ? asking_->close(Clock::now()) : Result<void>();
}

std::vector<std::string> Ask::summary() const {
  return asking_ ? asking_->summary() : std::vector<std::string>();
}

}  // namespace bulkhead::session
