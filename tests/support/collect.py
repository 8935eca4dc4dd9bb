"""Adds up test reports.

collect.py bazel TESTLOGS OUT.xml    every test.xml below TESTLOGS of tests/unit, sim and fuzz, as one report
collect.py summary REPORT.xml ...    prints what failed, then "N passed, N failed"; exit 1 unless all is well
"""

import pathlib
import sys
import xml.etree.ElementTree as xml


def cases(path):
    """Yields (name, failed, skipped) for each test case of a JUnit report."""
    for case in xml.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}"
        failed = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None or case.get("status") == "notrun"
        yield name, failed, skipped


def merge(testlogs, out):
    """One report from Bazel's; a test that crashed has one case of its own there, which has failed."""
    suites = xml.Element("testsuites")
    folders = [pathlib.Path(testlogs, "tests", part) for part in ("unit", "sim", "fuzz")]
    reports = sorted(report for folder in folders for report in folder.rglob("test.xml"))
    for report in reports:
        for suite in xml.parse(report).getroot().iter("testsuite"):
            suites.append(suite)
    xml.ElementTree(suites).write(out)
    return bool(reports)


def summary(reports):
    passed, failures = 0, []
    for report in reports:
        counts = [0, 0]
        for name, failed, skipped in cases(report):
            if skipped:
                continue
            counts[failed] += 1
            if failed:
                failures.append(f"{pathlib.Path(report).stem}: {name}")
        passed += counts[0]
        print(f"{pathlib.Path(report).stem}: {counts[0]} passed, {counts[1]} failed")
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{passed} passed, {len(failures)} failed")
    return passed > 0 and not failures


def main(arguments):
    if arguments[:1] == ["bazel"] and len(arguments) == 3:
        return merge(arguments[1], arguments[2])
    if arguments[:1] == ["summary"]:
        return summary(arguments[1:])
    print(__doc__, file=sys.stderr)
    return False


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
