#include "advice/hosts.h"

#include <algorithm>
#include <array>

#include "advice/advice.h"
#include "base/text.h"

namespace bulkhead::advice {
namespace {

using namespace std::string_view_literals;

constexpr int in_name = SharedHost::in_name;

// The first that fits counts.
constexpr std::array shared{
    SharedHost{"github.com", 0, "everybody's repositories"},
    SharedHost{"api.github.com", 1, "everybody's repositories and gists"},
    SharedHost{"uploads.github.com", 1, "everybody's releases"},
    SharedHost{"raw.githubusercontent.com", 0, "everybody's files"},
    SharedHost{"gist.github.com", 0, "everybody's gists"},
    SharedHost{"gist.githubusercontent.com", 0, "everybody's gists"},
    SharedHost{"codeload.github.com", 0, "everybody's repositories"},
    SharedHost{"*.github.io", in_name, "everybody's pages"},
    SharedHost{"ghcr.io", 1, "everybody's images"},
    SharedHost{"gitlab.com", 0, "everybody's repositories"},
    SharedHost{"*.gitlab.io", in_name, "everybody's pages"},
    SharedHost{"bitbucket.org", 0, "everybody's repositories"},
    SharedHost{"api.bitbucket.org", 2, "everybody's repositories"},
    SharedHost{"codeberg.org", 0, "everybody's repositories"},
    SharedHost{"dev.azure.com", 0, "everybody's projects"},
    SharedHost{"huggingface.co", 0, "everybody's models and files"},
    SharedHost{"registry-1.docker.io", 1, "everybody's images"},
    SharedHost{"cdn.jsdelivr.net", 1, "everybody's packages and repositories"},
    SharedHost{"esm.sh", 0, "everybody's packages"},
    SharedHost{"unpkg.com", 0, "everybody's packages"},
    SharedHost{"storage.googleapis.com", 0, "everybody's buckets"},
    SharedHost{"*.storage.googleapis.com", in_name, "everybody's buckets"},
    SharedHost{"*.appspot.com", in_name, "everybody's programs"},
    SharedHost{"*.run.app", in_name, "everybody's programs"},
    SharedHost{"*.cloudfunctions.net", in_name, "everybody's programs"},
    SharedHost{"*.web.app", in_name, "everybody's pages"},
    SharedHost{"*.firebaseapp.com", in_name, "everybody's pages"},
    SharedHost{"*.firebaseio.com", in_name, "everybody's databases"},
    SharedHost{"s3.amazonaws.com", 0, "everybody's buckets"},
    SharedHost{"s3.*.amazonaws.com", 0, "everybody's buckets"},
    SharedHost{"*.amazonaws.com", in_name, "everybody's buckets, queues and programs"},
    SharedHost{"*.on.aws", in_name, "everybody's programs"},
    SharedHost{"*.cloudfront.net", in_name, "everybody's sites"},
    SharedHost{"*.blob.core.windows.net", in_name, "everybody's storage"},
    SharedHost{"*.file.core.windows.net", in_name, "everybody's storage"},
    SharedHost{"*.azurewebsites.net", in_name, "everybody's programs"},
    SharedHost{"*.azureedge.net", in_name, "everybody's sites"},
    SharedHost{"*.openai.azure.com", in_name, "everybody's models"},
    SharedHost{"*.digitaloceanspaces.com", in_name, "everybody's buckets"},
    SharedHost{"*.r2.cloudflarestorage.com", in_name, "everybody's buckets"},
    SharedHost{"*.workers.dev", in_name, "everybody's programs"},
    SharedHost{"*.pages.dev", in_name, "everybody's pages"},
    SharedHost{"*.trycloudflare.com", in_name, "everybody's tunnels"},
    SharedHost{"*.netlify.app", in_name, "everybody's pages"},
    SharedHost{"*.vercel.app", in_name, "everybody's programs"},
    SharedHost{"*.herokuapp.com", in_name, "everybody's programs"},
    SharedHost{"*.fly.dev", in_name, "everybody's programs"},
    SharedHost{"*.onrender.com", in_name, "everybody's programs"},
    SharedHost{"*.supabase.co", in_name, "everybody's databases"},
    SharedHost{"*.atlassian.net", in_name, "everybody's trackers"},
    SharedHost{"*.sharepoint.com", in_name, "everybody's files"},
    SharedHost{"*.ngrok.io", in_name, "everybody's tunnels"},
    SharedHost{"*.ngrok-free.app", in_name, "everybody's tunnels"},
    SharedHost{"hooks.slack.com", 1, "everybody's channels"},
    SharedHost{"discord.com", 2, "everybody's channels"},
    SharedHost{"api.telegram.org", 0, "everybody's chats"},
};

struct Known {
  std::string_view host, what;
};
constexpr std::array fetching{
    Known{"translate.google.com", "fetches pages to translate them"},
    Known{"*.translate.goog", "fetches pages to translate them"},
    Known{"translate.googleusercontent.com", "fetches pages to translate them"},
    Known{"webcache.googleusercontent.com", "fetches pages to keep them"},
    Known{"web.archive.org", "fetches pages to keep them"},
    Known{"archive.org", "fetches pages to keep them"},
    Known{"archive.ph", "fetches pages to keep them"},
    Known{"archive.is", "fetches pages to keep them"},
    Known{"archive.today", "fetches pages to keep them"},
    Known{"r.jina.ai", "fetches pages for whoever asks"},
    Known{"s.jina.ai", "searches and fetches for whoever asks"},
    Known{"api.allorigins.win", "fetches pages for whoever asks"},
    Known{"corsproxy.io", "fetches pages for whoever asks"},
    Known{"cors-anywhere.herokuapp.com", "fetches pages for whoever asks"},
    Known{"12ft.io", "fetches pages for whoever asks"},
    Known{"images.weserv.nl", "fetches pictures for whoever asks"},
    Known{"wsrv.nl", "fetches pictures for whoever asks"},
    Known{"*.cdn.ampproject.org", "fetches pages to keep them"},
    Known{"validator.w3.org", "fetches pages to check them"},
    Known{"api.microlink.io", "fetches pages for whoever asks"},
    Known{"proxy.golang.org", "fetches modules from their authors' servers"},
};
constexpr std::array drops{
    Known{"pastebin.com", "a paste bin"},
    Known{"paste.rs", "a paste bin"},
    Known{"dpaste.com", "a paste bin"},
    Known{"hastebin.com", "a paste bin"},
    Known{"ix.io", "a paste bin"},
    Known{"termbin.com", "a paste bin"},
    Known{"transfer.sh", "a file drop"},
    Known{"file.io", "a file drop"},
    Known{"0x0.st", "a file drop"},
    Known{"gofile.io", "a file drop"},
    Known{"*.gofile.io", "a file drop"},
    Known{"catbox.moe", "a file drop"},
    Known{"tmpfiles.org", "a file drop"},
    Known{"bashupload.com", "a file drop"},
    Known{"temp.sh", "a file drop"},
    Known{"webhook.site", "a request catcher"},
    Known{"*.webhook.site", "a request catcher"},
    Known{"*.pipedream.net", "a request catcher"},
    Known{"requestbin.com", "a request catcher"},
    Known{"*.requestcatcher.com", "a request catcher"},
    Known{"*.oast.fun", "a request catcher"},
    Known{"*.oastify.com", "a request catcher"},
    Known{"*.interact.sh", "a request catcher"},
    Known{"*.burpcollaborator.net", "a request catcher"},
    Known{"httpbin.org", "an echo of requests"},
    Known{"ntfy.sh", "a message board"},
    Known{"hooks.slack.com", "a chat's mailbox"},
    Known{"api.telegram.org", "a chat's mailbox"},
};

// With all punctuation gone and letters small. Words that are addresses only now and then (page, next, source) are left
// out: too many false alarms.
constexpr std::array address_keys{
    "url"sv,       "uri"sv,         "urls"sv,     "href"sv,       "src"sv,         "sourceurl"sv,   "link"sv,
    "callback"sv,  "callbackurl"sv, "webhook"sv,  "webhookurl"sv, "redirect"sv,    "redirecturl"sv, "redirecturi"sv,
    "returnurl"sv, "returnto"sv,    "continue"sv, "dest"sv,       "destination"sv, "targeturl"sv,   "proxy"sv,
    "feed"sv,      "feedurl"sv,     "imageurl"sv, "fileurl"sv,    "importurl"sv,   "remote"sv,      "remoteurl"sv,
    "endpoint"sv,  "domain"sv,      "host"sv,     "fetch"sv};

constexpr std::array upload_segments{"upload"sv,     "uploads"sv,   "files"sv,    "file"sv,     "import"sv,
                                     "imports"sv,    "blobs"sv,     "blob"sv,     "assets"sv,   "media"sv,
                                     "gists"sv,      "pastes"sv,    "paste"sv,    "snippets"sv, "attachments"sv,
                                     "attachment"sv, "objects"sv,   "contents"sv, "releases"sv, "packages"sv,
                                     "documents"sv,  "artifacts"sv, "storage"sv};

template <class List>
bool is_in(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// `*` is one or more labels.
bool labels_match(std::string_view pattern, std::string_view host) {
  const std::size_t dot = pattern.find('.');
  const std::string_view first = pattern.substr(0, dot);
  if (dot == std::string_view::npos) return first == host;
  const std::string_view rest = pattern.substr(dot + 1);
  if (first != "*") {
    return host.size() > first.size() && host.starts_with(first) && host[first.size()] == '.' &&
           labels_match(rest, host.substr(first.size() + 1));
  }
  for (std::size_t at = host.find('.'); at != std::string_view::npos; at = host.find('.', at + 1)) {
    if (at > 0 && labels_match(rest, host.substr(at + 1))) return true;
  }
  return false;
}

template <class List>
std::string_view what_of(const List& list, std::string_view host) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const Known& known) { return labels_match(known.host, host); });
  return found == list.end() ? std::string_view() : found->what;
}

}  // namespace

const SharedHost* shared_host(std::string_view host) {
  const auto* const found = std::find_if(shared.begin(), shared.end(),
                                         [&](const SharedHost& known) { return labels_match(known.host, host); });
  return found == shared.end() ? nullptr : found;
}

bool names_owner(const SharedHost& known, std::string_view host, const Rule& rule) {
  if (known.owner == in_name) return !host.starts_with("*.");
  if (host.starts_with("*.")) return false;
  const std::vector<std::string> segments = segments_of(rule.path);
  const auto owner = static_cast<std::size_t>(known.owner);
  const auto only_reads = [](const std::string& method) { return method == "GET" || method == "HEAD"; };
  // `GET /v2/` of a registry is nobody's place: the path ends where an owner would stand.
  if (owner > 0 && owner + 1 == segments.size() && segments[owner].empty() &&
      std::ranges::none_of(segments, is_wildcard) && std::ranges::all_of(rule.methods, only_reads)) {
    return true;
  }
  return owner < segments.size() && !segments[owner].empty() &&
         std::none_of(
             segments.begin(), segments.begin() + known.owner + 1,
             [](const std::string& segment) { return segment == "**"; }) &&
         !is_wildcard(segments[owner]);
}

std::string_view fetches(std::string_view host) {
  return what_of(fetching, host);
}
std::string_view takes_drops(std::string_view host) {
  return what_of(drops, host);
}

bool names_address(std::string_view query_key) {
  std::string word;
  for (const char c : lower_ascii(query_key)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) word += c;
  }
  return is_in(address_keys, word);
}

bool keeps_uploads(std::string_view segment) {
  return is_in(upload_segments, lower_ascii(segment));
}

}  // namespace bulkhead::advice
