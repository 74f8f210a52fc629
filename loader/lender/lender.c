// SPDX-License-Identifier: MIT
/*
 * The lender: does for a sidecar whatever touches a file descriptor of another process, which can
 * block for ever, and holds nothing that a sidecar or its successor needs.
 *
 * What can block: pidfd_getfd(2) while the process is in execve(2), for which it can wait for its
 * own FUSE server (kernel/pid.c, __pidfd_fget: exec_update_lock). close(2) of what that returned,
 * for the same reason (fs/fuse/file.c, fuse_flush). Every call that locks the socket, while the
 * process is in setsockopt(2) and waits for memory that a FUSE file backs (net/core/sock.c,
 * lock_sock).
 *
 * It reads requests from file descriptor 3 until its parent closes the other end.
 */
#define _GNU_SOURCE
#include "lender.h"
#include "reports.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PARENT 3

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

static int failed(int result)
{
	return result < 0 ? errno : 0;
}

static int place(int map, __u32 key, int socket)
{
	__u64 value = socket;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = (__u64)(unsigned long)&key;
	attr.value = (__u64)(unsigned long)&value;
	return syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr));
}

/* Opens the network namespace of a process. */
static int open_netns(__u32 pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/ns/net", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* @fd: the descriptor sent along, or -1; or one that is to be sent back */
static void operate(int socket, __u32 pid, const struct rm_loan_operation *op, int *fd,
		    struct rm_loan_result *result)
{
	socklen_t length = op->value < RM_LOAN_DATA ? op->value : RM_LOAN_DATA;
	int error = 0;

	switch (op->kind) {
	case RM_LOAN_GETSOCKOPT:
		error = failed(getsockopt(socket, op->level, op->name, result->data, &length));
		result->length = error ? 0 : length;
		break;
	case RM_LOAN_SETSOCKOPT:
		error = failed(
			setsockopt(socket, op->level, op->name, &op->value, sizeof(op->value)));
		break;
	case RM_LOAN_SETSOCKOPT_FD:
		error = failed(setsockopt(socket, op->level, op->name, fd, sizeof(*fd)));
		break;
	case RM_LOAN_SHUTDOWN:
		error = failed(shutdown(socket, op->value));
		break;
	case RM_LOAN_PLACE:
		error = failed(place(*fd, op->value, socket));
		break;
	case RM_LOAN_TAKE:
		*fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
		error = failed(*fd);
		break;
	case RM_LOAN_NETNS:
		*fd = open_netns(pid);
		error = failed(*fd);
		break;
	default:
		error = EINVAL;
	}
	result->error = error;
}

/* Returns whether the process has reused the number for another file. */
static bool is_another(int file, __u64 cookie)
{
	__u64 actual = 0;
	socklen_t length = sizeof(actual);

	return getsockopt(file, SOL_SOCKET, SO_COOKIE, &actual, &length) < 0 || actual != cookie;
}

static int duplicate(__u32 pid, __u32 fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int copy, error;

	if (pidfd < 0)
		return -1;
	copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	error = errno;
	close(pidfd);
	errno = error;
	return copy;
}

/* Does the operations on the socket; without one, on the process. */
static void lend(const struct rm_loan_request *request, int *fd, struct rm_loan_reply *reply)
{
	bool has_socket = request->cookie != 0;
	int file = has_socket ? duplicate(request->pid, request->fd) : -1;

	reply->error = has_socket ? failed(file) : 0;
	if (reply->error)
		return;
	if (has_socket && is_another(file, request->cookie)) {
		reply->error = ESTALE;
	} else {
		for (; reply->count < request->count; reply->count++)
			operate(file, request->pid, &request->operations[reply->count], fd,
				&reply->results[reply->count]);
	}
	/* Before the reply: a copy that stays open would keep the listener in its group. */
	if (has_socket)
		close(file);
}

/* Receives a request and the descriptor sent along (or -1). Returns false at the end. */
static bool receive(struct rm_loan_request *request, int *fd)
{
	union control control;
	struct iovec iov = {.iov_base = request, .iov_len = sizeof(*request)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t length;

	*fd = -1;
	memset(request, 0, sizeof(*request));
	do
		length = recvmsg(PARENT, &message, MSG_CMSG_CLOEXEC);
	while (length < 0 && errno == EINTR);
	if (length <= 0)
		return false;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part;
	     part = CMSG_NXTHDR(&message, part))
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
			memcpy(fd, CMSG_DATA(part), sizeof(*fd));
	return request->count <= RM_LOAN_OPERATIONS;
}

/* Sends a reply, and with it `fd` unless that is -1. */
static bool send_reply(struct rm_loan_reply *reply, int fd)
{
	size_t length = offsetof(struct rm_loan_reply, results[reply->count]);
	union control control;
	struct iovec iov = {.iov_base = reply, .iov_len = length};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	return sendmsg(PARENT, &message, MSG_NOSIGNAL) == (ssize_t)length;
}

int main(void)
{
	static struct rm_loan_request request;
	static struct rm_loan_reply reply;
	bool goes_on = true;
	int fd, sent;

	prctl(PR_SET_NAME, RM_LENDER_COMM);
	/* One that hangs in a call that a signal can end must not outlive its parent. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It ends with its parent, which may still borrow after one of these. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	syscall(SYS_close_range, PARENT + 1, ~0U, 0);
	while (goes_on && receive(&request, &sent)) {
		memset(&reply, 0, sizeof(reply));
		fd = sent;
		lend(&request, &fd, &reply);
		/* What was sent along, a program or a map, does not come back. */
		goes_on = send_reply(&reply, fd == sent ? -1 : fd);
		if (fd != sent && fd >= 0)
			close(fd);
		if (sent >= 0)
			close(sent);
	}
	return 0;
}
