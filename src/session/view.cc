#include "session/view.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "base/sys.h"
#include "policy/managed.h"

namespace bulkhead::session {
namespace {

// Copied into the session's own /etc. What is not in these lists is not there: no shadow, no ssh
// host keys, no service's password file.
constexpr const char* etc_files[] = {"bash.bashrc", "debian_version", "gai.conf",     "inputrc",     "ld.so.cache",
                                     "ld.so.conf",  "lsb-release",    "locale.alias", "locale.conf", "login.defs",
                                     "mime.types",  "nanorc",         "profile",      "protocols",   "screenrc",
                                     "services",    "shells",         "timezone",     "zshrc",       "ssl/openssl.cnf"};
// Shown as they are.
constexpr const char* etc_folders[] = {
    "alternatives", "bash_completion.d", "fonts",    "gnutls", "ld.so.conf.d", "maven",
    "perl",         "profile.d",         "terminfo", "vim",    "xdg",          "zsh"};
constexpr const char* etc_folder_prefixes[] = {"java-", "python3", "php"};
// Small links that stay links.
constexpr const char* etc_links[] = {"localtime", "os-release", "mtab"};

// Of about fifty everyday tools, only these needed anything of HOME. Nothing here holds a
// credential
// (~/.cargo without credentials.toml, ~/.npmrc and ~/.config not at all).
constexpr const char* toolchain_folders[] = {".nvm",
                                             ".pyenv",
                                             ".rustup",
                                             ".cargo/bin",
                                             ".cargo/registry",
                                             ".cargo/env",
                                             "go",
                                             ".local/bin",
                                             ".local/lib",
                                             ".gitconfig",
                                             ".volta",
                                             ".sdkman",
                                             ".rbenv",
                                             ".bun/bin",
                                             ".deno/bin",
                                             ".fnm",
                                             ".asdf",
                                             ".local/share/mise/installs",
                                             ".local/share/uv/python"};

constexpr std::size_t max_etc_file = 1U << 20;

bool is_regular(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
}

Result<void> add_system(tier::Plan& plan, Sources& sources, const std::string& path, bool in_home) {
  BH_TRY(UniqueFd fd, sources.open(path));
  if (in_home) {
    BH_TRY(fd, sources.mountable(std::move(fd), path));
  }
  plan.system.push_back({std::move(fd), path, MountMode::ro, path, std::nullopt});
  return {};
}

// /bin and friends: links into /usr where the host merged them, else folders of their own.
Result<void> add_root(tier::Plan& plan, Sources& sources) {
  BH_CHECK(add_system(plan, sources, "/usr", false));
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    if (auto link = sys::read_link(name); link) {
      plan.links.push_back({name, *link});
    } else if (sys::is_directory(name)) {
      BH_CHECK(add_system(plan, sources, name, false));
    }
  }
  return {};
}

std::string accounts(const Identity& identity) {
  const std::string id = std::to_string(identity.uid) + ":" + std::to_string(identity.gid);
  return "root:x:0:0:root:/root:/usr/sbin/nologin\n" + identity.name + ":x:" + id + "::" + identity.home +
         ":/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
}

void add_made_files(tier::Plan& plan, const Identity& identity) {
  const auto file = [&](const char* target, std::string content) {
    plan.files.push_back({target, std::move(content), UniqueFd()});
  };
  file("/etc/passwd", accounts(identity));
  file("/etc/group", "root:x:0:\n" + identity.name + ":x:" + std::to_string(identity.gid) + ":\nnogroup:x:65534:\n");
  file("/etc/hosts", "127.0.0.1 localhost bulkhead\n::1 localhost ip6-localhost ip6-loopback\n");
  file("/etc/hostname", "bulkhead\n");
  // Any address would do: all of them are the gateway. This one is in the range that front answers
  // with.
  file("/etc/resolv.conf", "nameserver 198.18.0.1\noptions timeout:2 attempts:2\n");
  file("/etc/nsswitch.conf",
       "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: "
       "files\n"
       "services: files\nethers: files\nrpc: files\n");
}

Result<void> add_etc(tier::Plan& plan, Sources& sources, const Identity& identity) {
  for (const char* name : etc_files) {
    const std::string path = std::string("/etc/") + name;
    if (!is_regular(path)) continue;
    auto content = sys::read_file(path, max_etc_file);
    // Unreadable for us is unreadable for the workload; too large is something we don't know.
    if (content) plan.files.push_back({path, std::move(*content), UniqueFd()});
  }
  add_made_files(plan, identity);
  for (const char* name : etc_links) {
    const std::string path = std::string("/etc/") + name;
    if (auto link = sys::read_link(path); link) plan.links.push_back({path, *link});
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> etc(::opendir("/etc"), ::closedir);
  if (!etc) return fail_errno("opendir", "/etc", errno);
  std::vector<std::string> folders;
  while (const dirent* entry = ::readdir(etc.get())) {
    const std::string name = entry->d_name;
    const bool wanted = std::find(std::begin(etc_folders), std::end(etc_folders), name) != std::end(etc_folders) ||
                        std::any_of(std::begin(etc_folder_prefixes), std::end(etc_folder_prefixes),
                                    [&](const char* prefix) { return name.starts_with(prefix); });
    // A symlink here could point anywhere, so only real folders count.
    struct stat st{};
    if (wanted && ::fstatat(::dirfd(etc.get()), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
      folders.push_back("/etc/" + name);
    }
  }
  std::sort(folders.begin(), folders.end());
  for (const std::string& folder : folders) BH_CHECK(add_system(plan, sources, folder, false));
  return {};
}

}  // namespace

Result<std::vector<std::string>> add_view(tier::Plan& plan, Sources& sources, const Identity& identity,
                                          const Policy& policy) {
  const bool image = !policy.image.empty();  // its own /usr and /etc, with as little over it as there can be
  if (!image) BH_CHECK(add_root(plan, sources));
  plan.tmpfs = {"/tmp", "/run", "/var", identity.home};
  plan.folders = {"/run/user/" + std::to_string(identity.uid)};  // XDG_RUNTIME_DIR
  plan.links.push_back({"/var/run", "/run"});
  plan.links.push_back({"/var/tmp", "/tmp"});
  if (image) {
    add_made_files(plan, identity);
    return std::vector<std::string>();
  }
  BH_CHECK(add_etc(plan, sources, identity));
  std::vector<std::string> visible{"/usr", "/bin", "/sbin"};
  if (!policy.toolchains) return visible;
  for (const char* name : toolchain_folders) {
    const std::string path = identity.home + "/" + name;
    if (!sys::exists(path)) continue;
    auto real = sys::real_path(path);
    // A toolchain that is a link out of HOME is somebody's own arrangement: show it only by a mount
    // of the policy.
    if (!real || *real != path) continue;
    if (policy.managed) BH_CHECK(judge_toolchain(*policy.managed, path));
    BH_CHECK(add_system(plan, sources, path, true));
    visible.push_back(path);
  }
  return visible;
}

}  // namespace bulkhead::session
