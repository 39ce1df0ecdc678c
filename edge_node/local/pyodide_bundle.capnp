# What workerd reads a Python runtime bundle as (`pyodide_<name>.capnp.bin`: one unpacked message).
@0xd6a1f2b93c7e4058;

struct Bundle {
  modules @0 :List(Module);
}

struct Module {
  name @0 :Text;
  type @2 :ModuleType;
  tsDeclaration @3 :Text;
  compileCache @7 :Data;
  union {
    src @1 :Data;
    wasm @4 :Data;
    data @5 :Data;
    json @6 :Text;
  }
}

enum ModuleType {
  bundle @0;
  builtin @1;
  internal @2;
}
