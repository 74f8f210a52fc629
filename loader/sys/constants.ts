/** Numbers that appear in records of the kernel and in calls of libc. */

/* include/linux/socket.h, uapi/linux/in.h */
export const AF_INET = 2;
export const AF_INET6 = 10;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_MPTCP = 262;

/* States of a TCP socket, include/net/tcp_states.h */
export const TCP_ESTABLISHED = 1;
export const TCP_CLOSE = 7;
export const TCP_CLOSE_WAIT = 8;
