"""C++ from .proto files with Debian's protoc: Bazel's own proto rules would want to download one."""

def hikyaku_proto(name, srcs, deps = [], grpc = False, visibility = None):
    """Makes cc_library `name` from `srcs`; import paths are relative to proto/.

    Args:
      name: the library.
      srcs: .proto files of this package.
      deps: other hikyaku_proto targets that srcs import.
      grpc: also make the service stubs.
      visibility: as everywhere.
    """
    package = native.package_name()[len("proto/"):]
    outs = []
    for src in srcs:
        stem = src[:-len(".proto")]
        outs += [stem + ".pb.h", stem + ".pb.cc"]
        if grpc:
            outs += [stem + ".grpc.pb.h", stem + ".grpc.pb.cc"]
    headers = [o for o in outs if o.endswith(".h")]

    native.filegroup(
        name = name + "_srcs",
        srcs = srcs + [d + "_srcs" for d in deps],
        visibility = visibility,
    )
    command = "protoc -Iproto --cpp_out=$(GENDIR)/proto"
    if grpc:
        command += " --grpc_out=$(GENDIR)/proto --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin"
    command += " " + " ".join(["proto/" + package + "/" + s for s in srcs])
    native.genrule(
        name = name + "_generate",
        srcs = [":" + name + "_srcs"],
        outs = outs,
        cmd = command,
    )
    native.cc_library(
        name = name,
        srcs = [o for o in outs if o.endswith(".cc")],
        hdrs = headers,
        copts = ["-w"],
        strip_include_prefix = "/proto",
        visibility = visibility,
        deps = deps + ["//bazel/system:grpc" if grpc else "//bazel/system:protobuf"],
    )
