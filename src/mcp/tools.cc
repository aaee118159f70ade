#include "mcp/tools.h"

#include <algorithm>
#include <optional>
#include <set>

namespace bulkhead::mcp {
namespace {

using nlohmann::json;

constexpr std::size_t max_file = std::size_t{8} << 20;  // that edit_file takes, and read_file looks through
constexpr std::uint64_t default_patience = 120, max_patience = 3600;
constexpr std::uint64_t default_lines = 2000;

json text_of(const char* description) {
  return {{"type", "string"}, {"description", description}};
}
json number_of(const char* description, std::uint64_t least, std::uint64_t most) {
  return {{"type", "integer"}, {"description", description}, {"minimum", least}, {"maximum", most}};
}

json tool(const char* name, const char* description, const json& properties, const std::vector<std::string>& required,
          bool reads_only) {
  return {{"name", name},
          {"description", description},
          {"inputSchema",
           {{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}}},
          {"annotations", {{"readOnlyHint", reads_only}, {"openWorldHint", false}}}};
}

// A file that is read whole, or why it can't be.
struct Read {
  std::string content;
  std::optional<Answer> refused;
};

class Arguments {
 public:
  explicit Arguments(const json& all) : all_(all) {}

  Result<std::string> text(const char* name, std::optional<std::string> otherwise = std::nullopt) {
    const auto found = all_.find(name);
    if (found == all_.end() && otherwise) return *otherwise;
    if (found == all_.end() || !found->is_string()) return fail(std::string(name) + " has to be a string");
    auto value = found->get<std::string>();
    if (value.find('\0') != std::string::npos) return fail(std::string(name) + " must not have a NUL");
    return value;
  }
  Result<std::string> path(const char* name, std::optional<std::string> otherwise = std::nullopt) {
    BH_TRY(std::string value, text(name, std::move(otherwise)));
    if (value.empty()) return fail(std::string(name) + " must not be empty");
    return value;
  }
  Result<std::uint64_t> number(const char* name, std::uint64_t otherwise, std::uint64_t least, std::uint64_t most) {
    const auto found = all_.find(name);
    if (found == all_.end()) return otherwise;
    if (!found->is_number_unsigned() || *found < least || *found > most) {
      return fail(std::string(name) + " has to be a whole number from " + std::to_string(least) + " to " +
                  std::to_string(most));
    }
    return found->get<std::uint64_t>();
  }
  Result<bool> flag(const char* name) {
    const auto found = all_.find(name);
    if (found == all_.end()) return false;
    if (!found->is_boolean()) return fail(std::string(name) + " has to be true or false");
    return found->get<bool>();
  }

 private:
  const json& all_;
};

std::string without_line_end(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// What a command that is ours says when it fails.
Answer complaint(const Ran& ran) {
  if (ran.cancelled) return {"cancelled", true};
  if (ran.late) return {"it took too long and was ended", true};
  std::string text = without_line_end(ran.err);
  return {text.empty() ? "it failed with status " + std::to_string(ran.status) : text, true};
}

class Caller {
 public:
  Caller(Session& session, const ToolCall& call) : session_(session), call_(call), arguments_(call.arguments) {}

  Result<Answer> run_command() {
    Inside what;
    BH_TRY(const std::string command, arguments_.text("command"));
    BH_TRY(what.directory, arguments_.text("directory", ""));
    BH_TRY(const std::uint64_t seconds, arguments_.number("timeout_seconds", default_patience, 1, max_patience));
    what.command = {"/bin/sh", "-c", command};
    what.patience = std::chrono::seconds(seconds);
    what.heard = call_.heard;
    what.passing = call_.passing;
    return ran(what, [&](const Ran& done) -> Answer {
      std::string text = done.out;
      if (!done.err.empty()) {
        if (!text.empty() && text.back() != '\n') text += '\n';
        text += (done.out.empty() ? "" : "stderr:\n") + done.err;
      }
      if (!text.empty() && text.back() != '\n') text += '\n';
      if (done.cut) text += "(there was more; the first 256 KiB of each are kept)\n";
      if (done.cancelled) return {text + "cancelled", true};
      if (done.late) return {text + "ended after " + std::to_string(seconds) + " seconds: timeout_seconds", true};
      return {text + "exit status " + std::to_string(done.status), done.status != 0};
    });
  }

  Result<Answer> read_file() {
    BH_TRY(const std::string path, arguments_.path("path"));
    BH_TRY(const std::uint64_t first, arguments_.number("first_line", 1, 1, 1'000'000'000));
    BH_TRY(const std::uint64_t count, arguments_.number("lines", default_lines, 1, 1'000'000));
    Read file = whole(path);
    if (file.refused) return *file.refused;
    std::string_view rest = file.content;
    std::uint64_t line = 1;
    for (; line < first && !rest.empty(); ++line) {
      const std::size_t end = rest.find('\n');
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    std::size_t at = 0;
    std::uint64_t taken = 0;
    for (; taken < count && at < rest.size(); ++taken) {
      const std::size_t end = rest.find('\n', at);
      at = end == std::string_view::npos ? rest.size() : end + 1;
    }
    std::string text(rest.substr(0, at));
    if (at < rest.size()) text += "(there is more, from line " + std::to_string(line + taken) + ")\n";
    return Answer{text.empty() ? "(nothing)" : text, false};
  }

  Result<Answer> write_file() {
    BH_TRY(const std::string path, arguments_.path("path"));
    BH_TRY(const std::string content, arguments_.text("content"));
    return write(path, content, "wrote " + std::to_string(content.size()) + " bytes to " + path);
  }

  Result<Answer> edit_file() {
    BH_TRY(const std::string path, arguments_.path("path"));
    BH_TRY(const std::string before, arguments_.path("old_text"));
    BH_TRY(const std::string after, arguments_.text("new_text"));
    BH_TRY(const bool all, arguments_.flag("replace_all"));
    Read file = whole(path);
    if (file.refused) return *file.refused;
    std::string text;
    std::size_t found = 0, at = 0;
    for (std::size_t next = 0; (next = file.content.find(before, at)) != std::string::npos; at = next + before.size()) {
      text.append(file.content, at, next - at).append(after);
      ++found;
    }
    text.append(file.content, at);
    if (found == 0) return Answer{"old_text is not in " + path + "; nothing was changed", true};
    if (found > 1 && !all) {
      return Answer{"old_text is in " + path + " " + std::to_string(found) +
                        " times; nothing was changed. Give more of what is around it, or replace_all",
                    true};
    }
    return write(path, text, "changed " + std::to_string(found) + (found == 1 ? " place in " : " places in ") + path);
  }

  Result<Answer> list_files() {
    BH_TRY(const std::string path, arguments_.path("path", "."));
    Inside what;
    what.command = {"/bin/ls", "-lAp", "--time-style=long-iso", "--", path};
    return ran(what, [](const Ran& done) -> Answer {
      if (done.status != 0) return complaint(done);
      return {done.out + (done.cut ? "(there was more)\n" : ""), false};
    });
  }

  Result<Answer> search() {
    BH_TRY(const std::string pattern, arguments_.path("pattern"));
    BH_TRY(const std::string path, arguments_.path("path", "."));
    BH_TRY(const std::string files, arguments_.text("files", ""));
    Inside what;
    what.command = {"/bin/grep", "-rnIE", "--exclude-dir=.git"};
    if (!files.empty()) what.command.push_back("--include=" + files);
    what.command.insert(what.command.end(), {"-e", pattern, "--", path});
    return ran(what, [](const Ran& done) -> Answer {
      if (done.status == 1 && done.err.empty()) return {"no match", false};
      if (done.status > 1 && done.out.empty()) return complaint(done);
      return {done.out + (done.cut ? "(there was more)\n" : "") + done.err, false};
    });
  }

 private:
  Result<Answer> ran(const Inside& what, const std::function<Answer(const Ran&)>& say) {
    const auto done = session_.run(what, *call_.wanted);
    return done ? say(*done) : Answer{done.error().message, true};
  }

  Read whole(const std::string& path) {
    Inside what;
    what.command = {"/bin/cat", "--", path};
    what.most = max_file;
    const auto done = session_.run(what, *call_.wanted);
    if (!done) return {"", Answer{done.error().message, true}};
    if (done->status != 0 || done->late || done->cancelled) return {"", complaint(*done)};
    if (done->cut) return {"", Answer{path + " is larger than 8 MiB; use run_command", true}};
    return {done->out, std::nullopt};
  }

  Result<Answer> write(const std::string& path, const std::string& content, const std::string& said) {
    Inside what;
    what.command = {"/bin/sh", "-c", R"sh(mkdir -p -- "$(dirname -- "$1")" && cat > "$1")sh", "sh",
                    path.starts_with('-') ? "./" + path : path};
    what.input = content;
    return ran(what, [&](const Ran& done) { return done.status == 0 ? Answer{said, false} : complaint(done); });
  }

  Session& session_;
  const ToolCall& call_;
  Arguments arguments_;
};

struct Tool {
  const char* name;
  Result<Answer> (Caller::*call)();
};
constexpr Tool tools[] = {{"run_command", &Caller::run_command}, {"read_file", &Caller::read_file},
                          {"write_file", &Caller::write_file},   {"edit_file", &Caller::edit_file},
                          {"list_files", &Caller::list_files},   {"search", &Caller::search}};

Result<void> takes(const std::string& name, const json& arguments) {
  const json all = tool_list();
  const auto found = std::ranges::find_if(all, [&](const json& one) { return one["name"] == name; });
  if (found == all.end()) return fail("there is no tool \"" + name + "\"");
  if (!arguments.is_object()) return fail("arguments have to be an object");
  for (const auto& [argument, value] : arguments.items()) {
    if (!(*found)["inputSchema"]["properties"].contains(argument)) {
      return fail(name + " takes no argument \"" + argument + "\"");
    }
  }
  return {};
}

}  // namespace

json tool_list() {
  const json path = text_of("Absolute, or relative to the workspace");
  return json::array(
      {tool(
           "run_command",
           "Runs a shell command in the sandboxed session, in its workspace unless told otherwise. The network and the "
           "files there are what the session's owner allowed; a refused request says what would allow it.",
           {{"command", text_of("For /bin/sh -c")},
            {"directory", path},
            {"timeout_seconds", number_of("120 unless said", 1, max_patience)}},
           {"command"}, false),
       tool("read_file", "Reads a text file of the session.",
            {{"path", path},
             {"first_line", number_of("1 unless said", 1, 1'000'000'000)},
             {"lines", number_of("2000 unless said", 1, 1'000'000)}},
            {"path"}, true),
       tool("write_file", "Writes a file of the session, and makes the folders above it.",
            {{"path", path}, {"content", text_of("All of the file")}}, {"path", "content"}, false),
       tool("edit_file", "Replaces a piece of a text file of the session; the piece has to be in it once.",
            {{"path", path},
             {"old_text", text_of("As it is now, to the letter")},
             {"new_text", text_of("What is to stand there")},
             {"replace_all", {{"type", "boolean"}, {"description", "Each place it is at"}}}},
            {"path", "old_text", "new_text"}, false),
       tool("list_files", "Lists a folder of the session.", {{"path", path}}, json::array(), true),
       tool("search", "Looks for a pattern in the text files of a folder of the session.",
            {{"pattern", text_of("An extended regular expression")},
             {"path", path},
             {"files", text_of("Only files with names like this, *.py for one")}},
            {"pattern"}, true)});
}

Result<Answer> call_tool(Session& session, const ToolCall& call) {
  BH_CHECK(takes(call.name, call.arguments));
  const auto* const tool =
      std::ranges::find(tools, std::string_view(call.name), [](const Tool& t) { return std::string_view(t.name); });
  return (Caller(session, call).*(tool->call))();
}

}  // namespace bulkhead::mcp
