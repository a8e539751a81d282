/*
 * Preloaded into tftpd-hpa, which ignores SIGCHLD, so the kernel counts its children's processor time nowhere. With
 * this it waits for them, so that their time is added to its own (times(2), cutime and cstime).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

static void reap(int number)
{
	int saved = errno;
	(void)number;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved;
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	int (*real)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
	struct sigaction waiting = {.sa_handler = reap, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
	if (number == SIGCHLD && action && action->sa_handler == SIG_IGN)
		action = &waiting;
	return real(number, action, old);
}

void (*signal(int number, void (*handler)(int)))(int)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
	return sigaction(number, &action, &old) ? SIG_ERR : old.sa_handler;
}
