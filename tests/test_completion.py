"""What a shell is offered after ``fitgap``, as bash asks for it."""

import subprocess
import sys

CASES = {
    ("train", "optimizer", "=", "ad"): {"adam", "adamw", "adagrad", "adadelta"},
    ("train", "optimizer", "="): {"sgd", "rmsprop"},
    ("train", "-m", "optimizer", "=", "sgd,rm"): {"sgd,rmsprop"},
    ("train", "metrics", "=", "[accuracy,f1"): {"[accuracy,f1_macro"},
    ("train", "opti"): {"optimizer="},
    ("train", "seed", "=", "1", "training.eng"): {"training.engine="},
    ("train", "training.engine", "=", "co"): {"compiled"},
    ("train", "tracking.reuse", "="): {"true", "false"},
    ("sweep", "split", "=", "k"): {"kfold"},
    ("sweep", "pl"): {"plan"},
    ("compare", "--sort", "gap/acc"): {"gap/accuracy"},
    ("com",): {"compare"},
}


def test_bash_is_offered_what_fits_and_nothing_else():
    # Bash takes words apart at the equals sign, and replaces the last part.
    lines = ['eval "$(_FITGAP_COMPLETE=bash_source fitgap)"', "compopt() { :; }"]
    for words in CASES:
        quoted = " ".join(f"'{word}'" for word in ("fitgap", *words))
        lines += [
            f"COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; COMPREPLY=()",
            '_fitgap_completion fitgap; echo "${COMPREPLY[*]}"',
        ]
    command = f"""env() {{ command env "${{@:1:$#-1}}" '{sys.executable}' -m fitgap; }}"""
    lines.insert(0, f"fitgap() {{ '{sys.executable}' -m fitgap; }}\n{command}")
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    for (words, expected), line in zip(CASES.items(), done.stdout.splitlines(), strict=True):
        found = line.split(" ")
        assert expected <= set(found), words
        assert all(one.startswith(words[-1].strip("=")) for one in found), words
