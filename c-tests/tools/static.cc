// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works with a context from before main() until after exit(): in the constructor of a global
// object, in atexit() and in the destructor. Prints a line for each; the last one is written by the
// destructor, so that it cannot be lost unnoticed.
#include "smoke.h"

namespace {

struct Global {
	smoke job;
	io_context_t ctx;

	Global() : ctx(0)
	{
		check(smoke_prepare(&job), "prepared");
		check(io_setup(BATCH, &ctx), "set up before main");
		check(smoke_on(ctx, &job), "worked before main");
	}

	~Global()
	{
		check(smoke_on(ctx, &job), "worked in the destructor");
		check(io_destroy(ctx), "destroyed in the destructor");
	}

	static void check(int status, const char *what)
	{
		if (status) {
			dprintf(2, "%s: %d\n", what, status);
			_exit(1);
		}
		dprintf(1, "%s\n", what);
	}
};

Global global;

void at_exit()
{
	Global::check(smoke_on(global.ctx, &global.job), "worked in atexit");
}

}

int main()
{
	atexit(at_exit);
	Global::check(smoke_on(global.ctx, &global.job), "worked in main");
	return 0;
}
