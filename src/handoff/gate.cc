#include "handoff/gate.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"
#include "review/content.h"
#include "review/tree.h"
#include "session/state/state.h"

namespace bulkhead::handoff {
namespace {

using nlohmann::json;
using review::Change;
using review::Kind;
using trust::Content;
using trust::Fingerprint;
using Side = trust::Trees::Side;

constexpr const char* accepted_file = "accepted.json";
constexpr const char* links_file = "links.json";

bool is_folder(const std::optional<struct stat>& st) {
  return st && S_ISDIR(st->st_mode);
}

class ReviewTrees : public trust::Trees {
 public:
  ReviewTrees(UniqueFd host, UniqueFd upper) : host_(std::move(host)), upper_(std::move(upper)) {}

  // What the change says the entry is; as that it is applied.
  void know(const std::string& path, Side side, const struct stat& st) { known_[{path, side}] = st; }

  Content read(const std::string& path, Side side) override {
    const review::Tree& tree = side == Side::before ? host_ : upper_;
    const auto known = known_.find({path, side});
    Content out;
    if (known != known_.end() && S_ISLNK(known->second.st_mode)) {
      out.kind = Content::Kind::link;
      auto target = tree.link(path);
      if (target) out.target = std::move(*target);
      if (!target) out.problem = "can't be read (" + target.error().message + ")";
      return out;
    }
    const auto fd = tree.file(path);
    if (!fd) {
      out.problem = "can't be read (" + fd.error().message + ")";
      return out;
    }
    out = trust::read_content(fd->get());
    if (!out.problem.empty()) {
      if (auto digest = sha256_hex_of(fd->get(), max_accepted); digest) out.sha256 = std::move(*digest);
    }
    if (known != known_.end()) out.executable = (known->second.st_mode & 0111) != 0;
    return out;
  }

  std::vector<std::string> names(const std::string& folder, Side side) override {
    std::vector<std::string> out = names_in(host_, folder);
    if (side == Side::after) std::ranges::move(names_in(upper_, folder), std::back_inserter(out));
    return out;
  }

 private:
  static std::vector<std::string> names_in(const review::Tree& tree, const std::string& folder) {
    const auto fd = tree.folder(folder);
    auto names = fd ? sys::list_directory(fd->get()) : fail("");
    return names ? std::move(*names) : std::vector<std::string>();
  }

  review::Tree host_, upper_;
  std::map<std::pair<std::string, Side>, struct stat> known_;
};

json to_json(const Fingerprint& one) {
  return {{"kind", static_cast<int>(one.kind)},
          {"executable", one.executable},
          {"target", review::encode_path(one.target)},
          {"sha256", one.sha256}};
}

Result<Fingerprint> fingerprint_from(const json& object) {
  Fingerprint out;
  const int kind = object.at("kind").get<int>();
  if (kind < 0 || kind > static_cast<int>(Fingerprint::Kind::folder)) return fail("an unknown kind");
  out.kind = static_cast<Fingerprint::Kind>(kind);
  out.executable = object.at("executable").get<bool>();
  BH_TRY(out.target, review::decode_path(object.at("target").get<std::string>()));
  out.sha256 = object.at("sha256").get<std::string>();
  return out;
}

struct Accepted {
  Fingerprint what;
  std::string by, time;
};

// A file that makes no sense is nobody's word.
std::map<std::string, Accepted> read_accepted(const review::Review& review) {
  std::map<std::string, Accepted> out;
  const auto text = review.read(accepted_file);
  if (!text || !*text) return out;
  const json object = json::parse(**text, nullptr, false);
  try {
    for (const json& one : object.at("files")) {
      auto path = review::decode_path(one.at("path").get<std::string>());
      auto what = fingerprint_from(one.at("what"));
      if (!path || !what) return {};
      out[*path] = {std::move(*what), one.at("by").get<std::string>(), one.at("time").get<std::string>()};
    }
  } catch (const json::exception&) {
    return {};
  }
  return out;
}

Result<std::vector<trust::Surroundings::Alias>> read_links(const review::Review& review) {
  std::vector<trust::Surroundings::Alias> out;
  BH_TRY(const std::optional<std::string> text, review.read(links_file));
  if (!text) return out;  // it has none
  const json object = json::parse(*text, nullptr, false);
  try {
    for (const json& one : object) {
      BH_TRY(std::string path, review::decode_path(one.at(0).get<std::string>()));
      BH_TRY(std::string leads_to, review::decode_path(one.at(1).get<std::string>()));
      out.push_back({std::move(path), std::move(leads_to)});
    }
  } catch (const json::exception&) {
    return fail("review " + review.info().id + " is damaged: its links.json makes no sense");
  }
  return out;
}

bool wanted(const std::vector<std::string>& paths, const std::string& path) {
  return paths.empty() ||
         std::ranges::any_of(paths, [&](const std::string& one) { return review::at_or_below(path, one); });
}

// A review says of each entry how it differs; what is refused is never applied, times alone are no matter.
std::vector<trust::Change> changes_for(const review::Changes& changes, const std::vector<std::string>& paths,
                                       ReviewTrees& trees) {
  std::vector<trust::Change> out;
  for (const Change& change : changes.list) {
    if (!change.refused.empty() || change.kind == Kind::touched || !wanted(paths, change.path)) continue;
    trust::Change one;
    one.path = change.path;
    one.existed = change.before.has_value() && !is_folder(change.before);
    one.exists = change.after.has_value();
    one.folder = is_folder(change.after);
    if (one.folder && change.kind != Kind::added) continue;
    if (!one.existed && !one.exists) continue;
    if (one.existed) trees.know(one.path, Side::before, *change.before);
    if (one.exists) trees.know(one.path, Side::after, *change.after);
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

std::vector<const GateFile*> Gate::open() const {
  std::vector<const GateFile*> out;
  for (const GateFile& file : files) {
    if (file.accepted.empty()) out.push_back(&file);
  }
  return out;
}

Result<Gate> look(const review::Review& review, const review::Changes& changes, const std::vector<std::string>& paths,
                  const trust::Catalogue& catalogue, const session::Paths& where) {
  BH_TRY(UniqueFd host, review.open_folder());
  BH_TRY(UniqueFd upper, review.open_upper());
  BH_TRY(const trust::Project project, trust::Project::of(host.get()));
  BH_TRY(const trust::Pins pins, trust::Pins::open(where.state, false));
  std::string problem;
  const auto pinned = pins.find(project, problem);
  trust::Surroundings around;
  around.above = review.info().folder;
  BH_TRY(around.links, read_links(review));
  ReviewTrees trees(std::move(host), std::move(upper));
  const std::vector<trust::Change> all = changes_for(changes, paths, trees);
  trust::Classified classified = trust::classify(catalogue, all, trees, around);
  Gate out;
  out.judged = std::move(classified.judged);
  const std::map<std::string, Accepted> accepted = read_accepted(review);
  for (trust::Handed& one : classified.handed) {
    if (trust::is_trusted(one, pinned ? &*pinned : nullptr)) continue;
    GateFile file;
    const auto known = accepted.find(one.path);
    if (known != accepted.end() && known->second.what == one.after && one.problem.empty()) {
      file.accepted = known->second.by;
    }
    file.handed = std::move(one);
    out.files.push_back(std::move(file));
  }
  return out;
}

Result<void> accept(const review::Review& review, const std::vector<const GateFile*>& files, const std::string& by) {
  if (!review.locked()) return fail("review " + review.info().id + " is in use");
  std::map<std::string, Accepted> all = read_accepted(review);
  const std::string now = session::rfc3339_now();
  for (const GateFile* file : files) {
    if (file->handed.problem.empty()) all[file->handed.path] = {file->handed.after, by, now};
  }
  json list = json::array();
  for (const auto& [path, one] : all) {
    list.push_back(
        {{"path", review::encode_path(path)}, {"what", to_json(one.what)}, {"by", one.by}, {"time", one.time}});
  }
  return review.write(accepted_file, json{{"v", 1}, {"files", std::move(list)}}.dump() + "\n");
}

Result<void> write_links(const review::Review& review, const std::vector<trust::Surroundings::Alias>& links) {
  if (links.empty()) return {};
  json list = json::array();
  for (const auto& link : links) {
    list.push_back(json::array({review::encode_path(link.path), review::encode_path(link.leads_to)}));
  }
  return review.write(links_file, list.dump() + "\n");
}

Result<std::optional<std::string>> text_of(const review::Review& review, const trust::Handed& handed,
                                           trust::Trees::Side side) {
  const Fingerprint& judged = side == Side::before ? handed.before : handed.after;
  if (judged.kind == Fingerprint::Kind::none) return std::optional<std::string>("");
  if (judged.kind != Fingerprint::Kind::file || judged.sha256.empty()) return std::nullopt;
  BH_TRY(UniqueFd top, side == Side::before ? review.open_folder() : review.open_upper());
  const review::Tree tree(std::move(top));
  BH_TRY(const UniqueFd file, tree.file(handed.path));
  BH_TRY(std::optional<std::string> text, review::read_text(file.get()));
  if (!text) return std::nullopt;
  if (sha256_hex(*text) != judged.sha256) {
    return fail("\"" + escape_for_terminal(handed.path) + "\" changed while it was looked at; look again");
  }
  return text;
}

}  // namespace bulkhead::handoff
