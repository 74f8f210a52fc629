/**
 * The libbpf functions in use, one line each with the prototype of its header (libbpf.h, bpf.h,
 * btf.h of 1.0). tests/ffi/bindings.test.ts compares them with the installed headers.
 */
import koffi from "koffi";
import { libbpf as lib } from "./libbpf_so.ts";

/** A C pointer, typed by the struct it points to. NULL is `null`, never `0n`. */
export type Ptr<T extends string> = bigint & { readonly __points_to: T };

for (const name of ["bpf_object", "bpf_map", "bpf_program", "bpf_link", "btf", "ring_buffer"]) {
  koffi.opaque(name);
}
koffi.alias("bpf_map_type", "int"); // an enum
koffi.proto("int ring_buffer_sample_fn(void *ctx, void *data, size_t size)");
koffi.struct("bpf_map_create_opts", { sz: "size_t", btf_fd: "uint32_t", btf_key_type_id: "uint32_t", btf_value_type_id: "uint32_t", btf_vmlinux_value_type_id: "uint32_t", inner_map_fd: "uint32_t", map_flags: "uint32_t" });
koffi.struct("bpf_iter_attach_opts", { sz: "size_t", link_info: "void *", link_info_len: "uint32_t" });

/** struct bpf_map_create_opts, its fields in use: libbpf takes all bytes beyond `sz` as zero. */
interface MapOptions {
  readonly sz: number;
  readonly map_flags: number;
}

/** struct bpf_iter_attach_opts; libbpf reads `link_info` during the call only. */
export interface IterOptions {
  readonly sz: number;
  readonly link_info: Buffer;
  readonly link_info_len: number;
}

/* libbpf.h: objects */
export const bpf_object__open_file = lib.func("bpf_object *bpf_object__open_file(const char *path, const void *opts)") as (path: string, opts: null) => Ptr<"bpf_object"> | null;
export const bpf_object__load = lib.func("int bpf_object__load(bpf_object *obj)") as (obj: Ptr<"bpf_object">) => number;
export const bpf_object__close = lib.func("void bpf_object__close(bpf_object *obj)") as (obj: Ptr<"bpf_object">) => void;
export const bpf_object__btf = lib.func("btf *bpf_object__btf(const bpf_object *obj)") as (obj: Ptr<"bpf_object">) => Ptr<"btf"> | null;
export const bpf_object__find_map_by_name = lib.func("bpf_map *bpf_object__find_map_by_name(const bpf_object *obj, const char *name)") as (obj: Ptr<"bpf_object">, name: string) => Ptr<"bpf_map"> | null;
export const bpf_object__find_program_by_name = lib.func("bpf_program *bpf_object__find_program_by_name(const bpf_object *obj, const char *name)") as (obj: Ptr<"bpf_object">, name: string) => Ptr<"bpf_program"> | null;

/* libbpf.h: maps and programs of an object */
export const bpf_map__fd = lib.func("int bpf_map__fd(const bpf_map *map)") as (map: Ptr<"bpf_map">) => number;
export const bpf_map__set_max_entries = lib.func("int bpf_map__set_max_entries(bpf_map *map, uint32_t max_entries)") as (map: Ptr<"bpf_map">, entries: number) => number;
export const bpf_map__set_map_flags = lib.func("int bpf_map__set_map_flags(bpf_map *map, uint32_t flags)") as (map: Ptr<"bpf_map">, flags: number) => number;
export const bpf_map__value_size = lib.func("uint32_t bpf_map__value_size(const bpf_map *map)") as (map: Ptr<"bpf_map">) => number;
export const bpf_map__reuse_fd = lib.func("int bpf_map__reuse_fd(bpf_map *map, int fd)") as (map: Ptr<"bpf_map">, fd: number) => number;
export const bpf_map__set_initial_value = lib.func("int bpf_map__set_initial_value(bpf_map *map, const void *data, size_t size)") as (map: Ptr<"bpf_map">, data: Buffer, size: number) => number;
export const bpf_program__fd = lib.func("int bpf_program__fd(const bpf_program *prog)") as (prog: Ptr<"bpf_program">) => number;

/* libbpf.h: links and the ring buffer */
export const bpf_program__attach_iter = lib.func("bpf_link *bpf_program__attach_iter(const bpf_program *prog, const bpf_iter_attach_opts *opts)") as (prog: Ptr<"bpf_program">, opts: IterOptions | null) => Ptr<"bpf_link"> | null;
export const bpf_program__attach_cgroup = lib.func("bpf_link *bpf_program__attach_cgroup(const bpf_program *prog, int cgroup_fd)") as (prog: Ptr<"bpf_program">, fd: number) => Ptr<"bpf_link"> | null;
export const bpf_link__fd = lib.func("int bpf_link__fd(const bpf_link *link)") as (link: Ptr<"bpf_link">) => number;
export const bpf_link__destroy = lib.func("int bpf_link__destroy(bpf_link *link)") as (link: Ptr<"bpf_link">) => number;
export const ring_buffer__new = lib.func("ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn *sample_cb, void *ctx, const void *opts)") as (fd: number, fn: bigint, ctx: null, opts: null) => Ptr<"ring_buffer"> | null;
export const ring_buffer__consume = lib.func("int ring_buffer__consume(ring_buffer *rb)") as (rb: Ptr<"ring_buffer">) => number;
export const ring_buffer__epoll_fd = lib.func("int ring_buffer__epoll_fd(const ring_buffer *rb)") as (rb: Ptr<"ring_buffer">) => number;
export const ring_buffer__free = lib.func("void ring_buffer__free(ring_buffer *rb)") as (rb: Ptr<"ring_buffer">) => void;
export const libbpf_version_string = lib.func("const char *libbpf_version_string(void)") as () => string;

/* bpf.h: by file descriptor */
export const bpf_map_create = lib.func("int bpf_map_create(bpf_map_type map_type, const char *map_name, uint32_t key_size, uint32_t value_size, uint32_t max_entries, const bpf_map_create_opts *opts)") as (type: number, name: string | null, key: number, value: number, entries: number, opts: MapOptions) => number;
export const bpf_map_lookup_elem = lib.func("int bpf_map_lookup_elem(int fd, const void *key, _Out_ void *value)") as (fd: number, key: Buffer, value: Buffer) => number;
export const bpf_map_update_elem = lib.func("int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)") as (fd: number, key: Buffer, value: Buffer, flags: number) => number;
export const bpf_map_delete_elem = lib.func("int bpf_map_delete_elem(int fd, const void *key)") as (fd: number, key: Buffer) => number;
export const bpf_map_get_next_key = lib.func("int bpf_map_get_next_key(int fd, const void *key, _Out_ void *next_key)") as (fd: number, key: Buffer | null, next: Buffer) => number;
export const bpf_map_lookup_batch = lib.func("int bpf_map_lookup_batch(int fd, void *in_batch, _Out_ void *out_batch, _Out_ void *keys, _Out_ void *values, _Inout_ uint32_t *count, const void *opts)") as (fd: number, inBatch: Buffer | null, outBatch: Buffer, keys: Buffer, values: Buffer, count: [number], opts: null) => number;
export const bpf_map_update_batch = lib.func("int bpf_map_update_batch(int fd, const void *keys, const void *values, _Inout_ uint32_t *count, const void *opts)") as (fd: number, keys: Buffer, values: Buffer, count: [number], opts: null) => number;
export const bpf_obj_pin = lib.func("int bpf_obj_pin(int fd, const char *pathname)") as (fd: number, path: string) => number;
export const bpf_obj_get = lib.func("int bpf_obj_get(const char *pathname)") as (path: string) => number;
export const bpf_obj_get_info_by_fd = lib.func("int bpf_obj_get_info_by_fd(int bpf_fd, _Inout_ void *info, _Inout_ uint32_t *info_len)") as (fd: number, info: Buffer, len: [number]) => number;
export const bpf_prog_get_fd_by_id = lib.func("int bpf_prog_get_fd_by_id(uint32_t id)") as (id: number) => number;
export const bpf_link_detach = lib.func("int bpf_link_detach(int link_fd)") as (fd: number) => number;
export const bpf_iter_create = lib.func("int bpf_iter_create(int link_fd)") as (fd: number) => number;

/* btf.h */
export const btf__raw_data = lib.func("const void *btf__raw_data(const btf *btf, _Out_ uint32_t *size)") as (btf: Ptr<"btf">, size: [number]) => Ptr<"void"> | null;
