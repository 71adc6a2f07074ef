// Removing what others have made, however they made it.
#pragma once

#include <atomic>
#include <string>

namespace mesclun {

// Removes a folder and all below it, or a file: also what was made unreadable, and folders nested
// deeper than any path reaches. Follows no link and crosses no mount. Two descriptors and a fixed
// piece of the stack, whatever the depth. True when nothing is left. Gives up once `stop` is set.
//
// Runs on: any thread; blocks for as long as the disk takes. Nobody else works in that folder.
bool remove_tree(const std::string& path, const std::atomic<bool>* stop = nullptr);

}  // namespace mesclun
