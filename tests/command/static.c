/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A statically linked program that needs no static libc; it is never run. */
void _start(void);

void _start(void)
{
	for (;;)
		;
}
