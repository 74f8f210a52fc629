/** Numbers of address families and protocols, as in records of the kernel and in calls of libc (linux/socket.h, uapi/linux/in.h). */
export const AF_INET = 2;
export const AF_INET6 = 10;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_MPTCP = 262;
