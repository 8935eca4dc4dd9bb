#include "lib/base/small_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku {
namespace {

class SmallFileTest : public testing::Test {
 protected:
  void Write(const std::string& name, absl::string_view text) { std::ofstream(Path(name)) << text; }
  std::string Path(const std::string& name) const { return absl::StrCat(testing::TempDir(), "/", name); }
};

TEST_F(SmallFileTest, ReadsTheWholeOfItUpToTheBound) {
  Write("five", "12345");
  const auto file = ReadSmallFile(Path("five"), 5);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->text, "12345");
  EXPECT_EQ(file->stamp, StampOf(Path("five")));
  EXPECT_EQ(ReadSmallFile(Path("five"), 4).status(), absl::InvalidArgumentError("is larger than 4B"));
}

TEST_F(SmallFileTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(ReadSmallFile(Path("missing"), 5).status(),
            absl::NotFoundError("cannot be read: No such file or directory"));
  EXPECT_EQ(ReadSmallFile(testing::TempDir(), 5).status(), absl::InvalidArgumentError("is no file"));
  const std::string pipe = Path("pipe");
  unlink(pipe.c_str());
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(ReadSmallFile(pipe, 5).status(), absl::InvalidArgumentError("is no file")) << "and does not wait for a writer";
}

TEST_F(SmallFileTest, AStampTellsThatAFileIsAnotherOne) {
  Write("one", "a");
  Write("two", "a");
  const FileStamp one = StampOf(Path("one"));
  EXPECT_EQ(one, StampOf(Path("one")));
  EXPECT_NE(one, StampOf(Path("two"))) << "the same text in another file";
  Write("one", "ab");
  EXPECT_NE(one, StampOf(Path("one")));
  EXPECT_EQ(StampOf(Path("missing")), FileStamp());
  EXPECT_NE(one, FileStamp());
}

TEST_F(SmallFileTest, AStampFollowsASymbolicLink) {
  Write("old", "a");
  Write("new", "a");
  const std::string link = Path("link");
  unlink(link.c_str());
  ASSERT_EQ(symlink(Path("old").c_str(), link.c_str()), 0);
  EXPECT_EQ(StampOf(link), StampOf(Path("old")));
  ASSERT_EQ(unlink(link.c_str()), 0);
  ASSERT_EQ(symlink(Path("new").c_str(), link.c_str()), 0);
  EXPECT_EQ(StampOf(link), StampOf(Path("new")));
}

TEST(FirstLineTest, EndsAtLfOrCrlf) {
  EXPECT_EQ(FirstLine("secret\nmore"), "secret");
  EXPECT_EQ(FirstLine("secret\r\nmore"), "secret");
  EXPECT_EQ(FirstLine("secret"), "secret");
  EXPECT_EQ(FirstLine("se\rcret\n"), "se\rcret");
  EXPECT_EQ(FirstLine(""), "");
}

}  // namespace
}  // namespace hikyaku
