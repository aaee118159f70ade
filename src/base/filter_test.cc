#include "base/filter.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/sys.h"

namespace bulkhead {
namespace {

// What git and diff are run as: whoever takes one over reaches none of the user's files, and nobody else.
class FilterTest : public testing::Test {
 protected:
  static std::string says(const std::string& script) {
    Filter filter;
    filter.places = {"/bin/bash"};
    filter.arguments = {"bash", "-c", script + " 2>/dev/null && echo did || echo could not"};
    filter.inputs = {"first", "second"};
    const auto filtered = run_filter(filter);
    return filtered ? filtered->out : filtered.error().message;
  }
};

TEST_F(FilterTest, DoesItsWork) {
  EXPECT_EQ(says("cat - /proc/self/fd/3"), "firstseconddid\n");
  EXPECT_EQ(says("ls /usr/bin > /dev/null"), "did\n");
}

TEST_F(FilterTest, ReachesNothingElse) {
  std::string folder = "/tmp/filter-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  ASSERT_EQ(::chmod(folder.c_str(), 0777), 0);
  ASSERT_TRUE(sys::write_file_atomically(folder + "/secret", "x", 0644));
  for (const std::string& script :
       {"cat " + folder + "/secret", "ls " + folder, std::string("cat /etc/passwd"), std::string("ls /"),
        std::string("cat /proc/self/environ"), std::string("cat /proc/$PPID/cmdline"), "echo x > " + folder + "/made",
        "mkdir " + folder + "/made", "rm " + folder + "/secret", std::string("kill -0 $PPID")}) {
    EXPECT_EQ(says(script), "could not\n") << script;
  }
  const UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<const sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(server.get(), 1), 0);
  ASSERT_EQ(::getsockname(server.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  EXPECT_EQ(says("exec 5<>/dev/tcp/127.0.0.1/" + std::to_string(ntohs(at.sin_port))), "could not\n");
  EXPECT_TRUE(sys::remove_tree(AT_FDCWD, folder));
}

}  // namespace
}  // namespace bulkhead
