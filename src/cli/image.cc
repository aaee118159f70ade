// bulkhead image: the images that sessions were started from, as they lie unpacked in the cache.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "image/cache.h"
#include "policy/units.h"

namespace bulkhead::cli {

namespace {

using image::Listed;
using image::Removal;

constexpr std::size_t shortest_digest = 6;  // that is taken for the beginning of one
constexpr std::size_t shown_digest = 12;

struct RemoveOptions {
  std::vector<std::string> digests;
  std::string older_than;
};

std::string utc(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32];
  if (::gmtime_r(&time, &parts) == nullptr) return "?";
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

// nullopt: no session ever needed one.
Result<std::optional<image::Cache>> open_cache() {
  BH_TRY(const session::Paths paths, user_paths());
  auto cache = image::Cache::open(paths.cache, false);
  if (!cache && cache.error().code == ENOENT) return std::nullopt;
  if (!cache) return tl::unexpected(std::move(cache).error());
  return std::move(*cache);
}

std::string megabytes(std::uint64_t bytes) {
  return std::to_string((bytes + 999'999) / 1'000'000) + " MB";
}

std::string state_of(const Listed& one) {
  return one.in_use ? "in use" : one.damage.empty() ? "-" : "can't be used: " + one.damage;
}

Result<void> list(bool as_json) {
  BH_TRY(const auto cache, open_cache());
  std::vector<Listed> all;
  if (cache) {
    BH_TRY(all, cache->list());
  }
  if (as_json) {
    nlohmann::json array = nlohmann::json::array();
    for (const Listed& one : all) {
      array.push_back({{"digest", "sha256:" + one.digest},
                       {"path", one.from},
                       {"bytes", one.size.bytes},
                       {"files", one.size.files},
                       {"used", one.used == 0 ? nlohmann::json() : nlohmann::json(utc(one.used))},
                       {"in_use", one.in_use},
                       {"damage", one.damage}});
    }
    print_json(array);
    return {};
  }
  if (all.empty()) return {};
  std::vector<std::vector<std::string>> rows = {{"DIGEST", "SIZE", "FILES", "LAST USED", "STATE", "UNPACKED FROM"}};
  for (const Listed& one : all) {
    rows.push_back({"sha256:" + one.digest.substr(0, shown_digest), megabytes(one.size.bytes),
                    std::to_string(one.size.files), one.used == 0 ? "-" : utc(one.used), state_of(one),
                    one.from.empty() ? "-" : escape_for_terminal(one.from, 200)});
  }
  std::fputs(table(rows).c_str(), stdout);
  return {};
}

// Those whose digest begins so: exactly one.
Result<std::string> named(const std::vector<Listed>& all, const std::string& word) {
  const std::string begin = word.starts_with("sha256:") ? word.substr(7) : word;
  const std::string shown = "\"" + escape_for_terminal(word, 200) + "\"";
  if (begin.size() < shortest_digest) {
    return fail(shown + ": write at least " + std::to_string(shortest_digest) + " digits of the digest");
  }
  std::vector<std::string> found;
  for (const Listed& one : all) {
    if (one.digest.starts_with(begin)) found.push_back(one.digest);
  }
  if (found.size() == 1) return found.front();
  return fail(shown + (found.empty() ? ": no such image is in the cache; `bulkhead image list` lists them"
                                     : ": several images begin so; write more digits"));
}

// In use is an error only of what was named: what is too old and in use goes another time.
Result<int> remove(const RemoveOptions& options) {
  BH_TRY(const auto cache, open_cache());
  std::vector<Listed> all;
  if (cache) {
    BH_TRY(all, cache->list());
  }
  std::vector<std::string> wanted;
  for (const std::string& word : options.digests) {
    BH_TRY(const std::string digest, named(all, word));
    wanted.push_back(digest);
  }
  if (!options.older_than.empty()) {
    BH_TRY(const std::chrono::seconds age, parse_duration(options.older_than));
    const std::int64_t limit = std::time(nullptr) - age.count();
    for (const Listed& one : all) {
      if (!one.in_use && one.used < limit) wanted.push_back(one.digest);
    }
  }
  int status = 0;
  for (const std::string& digest : wanted) {
    const std::string shown = "sha256:" + digest;
    const auto removed = cache->remove(digest);
    if (!removed) {
      status = complain(shown + ": " + removed.error().message, exit_failed);
    } else if (*removed == Removal::in_use && options.older_than.empty()) {
      status = complain(shown + " is in use; `bulkhead ps` lists the sessions that run, stop the one that has it",
                        exit_failed);
    } else if (*removed == Removal::done) {
      std::puts(shown.c_str());
    }
  }
  return status;
}

void add_list(CLI::App& image, Invocation& invocation) {
  CLI::App* command = image.add_subcommand("list", "List them");
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "As a JSON array");
  command->footer("Those in use have a session that runs, or are being unpacked. Times are UTC.");
  command->callback([json, &invocation] {
    invocation.action = [json] {
      const auto done = list(*json);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

void add_remove(CLI::App& image, Invocation& invocation) {
  CLI::App* command = image.add_subcommand("rm", "Remove some");
  const auto options = std::make_shared<RemoveOptions>();
  command->add_option("DIGEST", options->digests, "As `bulkhead image list` prints it")->type_name("");
  command->add_option("--older-than", options->older_than, "Those that no session has used for so long")
      ->type_name("AGE");
  command->footer(
      "Prints each that it removed. None that a session uses is removed, and each is made anew when one wants it\n"
      "again.\n\nExamples:\n  bulkhead image rm 4f0c1a\n  bulkhead image rm --older-than 30d");
  command->callback([options, &invocation] {
    if (options->digests.empty() == options->older_than.empty()) throw usage("name the images, or say --older-than");
    if (!options->older_than.empty()) {
      if (const auto age = parse_duration(options->older_than); !age) {
        throw usage("--older-than: " + age.error().message);
      }
    }
    invocation.action = [options] {
      const auto done = remove(*options);
      return done ? *done : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace

void add_image(CLI::App& root, Invocation& invocation) {
  CLI::App* image = root.add_subcommand("image", "List or remove unpacked images");
  image->require_subcommand(1);
  image->footer("What `--image` unpacked, once each, in ~/.cache/bulkhead/images.");
  add_list(*image, invocation);
  add_remove(*image, invocation);
}

}  // namespace bulkhead::cli
