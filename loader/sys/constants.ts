/** Numbers that appear in records of the kernel and in calls of libc. */

/* include/linux/socket.h, uapi/linux/in.h */
export const AF_INET = 2;
export const AF_INET6 = 10;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_MPTCP = 262;

/* uapi/linux/fcntl.h, uapi/linux/fs.h */
export const AT_FDCWD = -100;
export const RENAME_EXCHANGE = 2;

/* States of a TCP socket, include/net/tcp_states.h */
export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_FIN_WAIT1 = 4;
export const TCP_FIN_WAIT2 = 5;
export const TCP_CLOSE = 7;
export const TCP_CLOSE_WAIT = 8;
export const TCP_LISTEN = 10;
