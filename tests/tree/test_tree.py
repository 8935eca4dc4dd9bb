"""Checks of the checkout itself: what reviewers would otherwise have to look for."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("HIKYAKU_BINARY", ROOT / "bazel-bin/services/hikyaku/hikyaku"))


def tracked(*patterns):
    """Files of the index that are there, by git's patterns."""
    names = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, check=True, capture_output=True).stdout
    return [ROOT / name for name in names.decode().split("\0") if name and (ROOT / name).is_file()]


def test_links_in_documents_resolve():
    broken = []
    for page in tracked("*.md"):
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
        for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target) or target.startswith("#"):
                continue
            if not (page.parent / target.partition("#")[0]).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken, "\n".join(broken)


def test_paths_named_in_documents_exist():
    """Words in backquotes that look like files of this repository."""
    missing = []
    for page in tracked("*.md"):
        for name in re.findall(r"`((?:lib|services|proto|tests|tools|docs|deploy|bench|bazel)/[\w./-]+)`", page.read_text()):
            # "lib/delivery/verdict" stands for the pair of files.
            if not (ROOT / name.rstrip("/")).exists() and not list(ROOT.glob(name.rstrip("/") + ".*")):
                missing.append(f"{page.relative_to(ROOT)}: {name}")
    assert not missing, "\n".join(missing)


def test_no_path_of_a_machine():
    """The folders of whoever wrote it mean nothing to anyone else."""
    machine = re.compile(r"(?<![\w.$}~])/(?:work|root|farm)/|/tmp/bz")
    found = []
    for file in tracked():
        if file == pathlib.Path(__file__).resolve():
            continue
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if machine.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not found, "\n".join(found)


def test_no_file_of_the_product_is_too_long():
    long = [f"{file.relative_to(ROOT)}: {lines}" for file in tracked("lib", "services")
            if (lines := len(file.read_bytes().splitlines())) > 500]
    assert not long, "\n".join(long)


def test_no_notes_of_unfinished_work():
    found = [f"{file.relative_to(ROOT)}:{number}" for file in tracked("*.cc", "*.h", "*.proto", "*.py")
             if file != pathlib.Path(__file__).resolve()
             for number, line in enumerate(file.read_text().splitlines(), 1)
             if re.search(r"(?://|#).*\b(TODO|FIXME|XXX)\b", line)]
    assert not found, "\n".join(found)


def test_the_binary_shows_no_symbol_of_boringssl():
    """gRPC brings OpenSSL into the same process: a symbol of the same name would be taken for it."""
    assert BINARY.exists(), f"{BINARY}: bazel build //services/hikyaku"
    symbols = subprocess.run(["nm", "-D", "--defined-only", BINARY], check=True, capture_output=True, text=True).stdout
    shown = [line for line in symbols.splitlines() if re.search(r" (SSL|EVP|CRYPTO)_", line)]
    assert not shown, "\n".join(shown[:20])


def declared_metrics():
    """(file, name) of each metric that a file of the product declares."""
    for file in tracked("lib/*.cc", "lib/*.h", "services/*.cc", "services/*.h"):
        for name in re.findall(r'Declare(?:Counter|Gauge|Histogram)\(\s*"([^"]*)"', file.read_text()):
            yield file, name


def test_metrics_begin_with_our_name():
    found = list(declared_metrics())
    assert len(found) > 20, "the pattern still finds the declarations"
    wrong = [f"{file.relative_to(ROOT)}: {name}" for file, name in found if not re.fullmatch(r"hikyaku_[a-z0-9_]+", name)]
    assert not wrong, "\n".join(wrong)


def config_keys():
    """(line number, name, whether a comment stands above it or at its end) of each key of config.proto."""
    above, depth_of_enum = False, 0
    for number, line in enumerate((ROOT / "proto/hikyaku/v1/config.proto").read_text().splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("enum "):
            depth_of_enum = 1
        elif depth_of_enum and stripped == "}":
            depth_of_enum = 0
        key = re.match(r"(?:repeated |optional )?[\w.]+ (\w+) = \d+;(.*)", stripped)
        if key and not depth_of_enum:
            yield number, key.group(1), above or "//" in key.group(2)
        above = stripped.startswith("//")


# Groups are explained where their own keys are; these words say all that there is to say.
EVIDENT = {"listeners", "limits", "dns", "queue", "delivery", "smtp", "log", "retry", "timeouts", "address", "tls", "auth",
           "name", "level", "bytes"}


def test_every_key_of_the_configuration_is_explained():
    keys = list(config_keys())
    assert len(keys) > 50
    bare = [f"config.proto:{number}: {name}" for number, name, explained in keys if not explained and name not in EVIDENT]
    assert not bare, "\n".join(bare)


@pytest.mark.parametrize("script", ["quickstart", "test", "tests/e2e/run", "tests/crash/run", "tests/support/in_network",
                                    "tools/setup", "tools/format", "tools/lint",
                                    "deploy/docker/try", "deploy/k8s/certificates", "bench/compare",
                                    "bench/backlog"])
def test_scripts_are_sound(script):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)


# docs/hazards.md: what g++ 12 compiles into a crash.
BRACES_IN_AWAITED_CALL = re.compile(r"co_await [\w:>.\-*]+\((?:[^;{}]*[(,] *)?\{")


def balanced(text, start):
    """The inside of the parenthesis that opens at `start`."""
    depth = 0
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return text[start + 1:end]
    return ""


def hazards(text):
    """(position, text) of each; an init-statement may await, since it declares a local."""
    for match in re.finditer(r"\b(?:if|while|switch) (?=\()", text):
        if "co_await" in balanced(text, match.end()).rpartition(";")[2]:
            yield match.start(), text[match.start():match.start() + 60]
    for match in BRACES_IN_AWAITED_CALL.finditer(text):
        yield match.start(), match.group(0)[:60]


def test_no_coroutine_that_the_compiler_breaks():
    assert len(list(hazards("if ((co_await Sleep(d)).ok()) {} while (co_await F()) {}"))) == 2
    assert list(hazards("x = co_await LookUp({std::move(name), kMx}, limit);"))
    assert not list(hazards("if (auto s = co_await F(); s.ok()) { co_await G(a, b); }"))
    found = []
    for file in tracked("lib/*.cc", "lib/*.h", "services/*.cc", "services/*.h", "tests/*.cc", "tests/*.h"):
        text = re.sub(r"//[^\n]*", "", file.read_text())
        found += [f"{file.relative_to(ROOT)}:{text[:at].count(chr(10)) + 1}: {what!r}" for at, what in hazards(text)]
    assert not found, "\n".join(found)
