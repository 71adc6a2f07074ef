// Who sent a signal: a key on the terminal, which sends it to every process in the foreground, or one
// process, which means us alone.
#pragma once

#include <initializer_list>

namespace mesclun::companion {

// From now on the origin of these signals is noted, before their handlers run as they did. For
// signals that have a handler already. Once in a process.
void note_signal_origins(std::initializer_list<int> signals);

// Of the last signal of that number; false as long as none came.
bool came_from_terminal(int number);

}  // namespace mesclun::companion
