"""Tables as people have them: categories, gaps, identifiers, separators, encodings, targets."""

import gzip

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from fitgap.config.schema import SplitConfig, TableConfig
from fitgap.data import datasets, preprocessing, rows, splits, zip_bombs
from fitgap.data.parts import Format
from fitgap.errors import RequestError

HELD_OUT = {"test_fraction": 0.2, "test_seed": 42}
NONE = SplitConfig("none")


def table(folder, content, *, split=None, name="own.csv", **settings):
    path = folder / name
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    config = TableConfig("table", path=str(path), **({"label": "kind"} | HELD_OUT | settings))
    return datasets.load(config, split=split)


def csv(*columns, names="width,shape,kind", separator=","):
    rows = [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([names.replace(",", separator), *rows]) + "\n"


N = 40
WIDTH = [f"{i % 7}.5" for i in range(N)]
SHAPE = [["round", "flat", "bent"][i % 3] for i in range(N)]
KIND = [["rose", "tulip"][i % 2] for i in range(N)]


def test_text_is_categories_and_numbers_stay_numbers(tmp_path):
    dataset = table(tmp_path, csv(WIDTH, SHAPE, KIND))
    assert [column.name for column in dataset.columns] == ["width", "shape"]
    assert dataset.columns[0].categories is None
    assert dataset.columns[1].categories == ("bent", "flat", "round")
    assert dataset.class_names == ("rose", "tulip")
    split = splits.split_dataset(dataset, NONE)
    encoded, _ = preprocessing.encoded(dataset, split)
    assert encoded.image_shape == (4,)
    np.testing.assert_array_equal(encoded.x_train[:, 0], dataset.x_train[:, 0])
    np.testing.assert_array_equal(encoded.x_train[:, 1:].sum(axis=1), 1)
    assert encoded.digest == dataset.digest


def test_other_names_of_columns_and_categories_are_other_data(tmp_path):
    text = csv(WIDTH, SHAPE, KIND)
    first = table(tmp_path, text)
    renamed = table(tmp_path, text.replace("width", "breadth"), name="a.csv")
    others = table(tmp_path, text.replace("flat", "plat"), name="b.csv")
    assert len({first.digest, renamed.digest, others.digest}) == 3


def test_gaps_are_filled_by_what_the_training_partition_alone_says():
    columns = (datasets.Column("a"), datasets.Column("b", ("x", "y", "z")))
    nan = np.nan
    train = np.array([[1, 0], [2, nan], [9, 1], [nan, 1]], np.float32)
    learned = preprocessing.learn(train, columns)
    made = preprocessing.encode(np.array([[nan, 2], [5, nan], [7, 1]], np.float32), learned)
    # a, whether a is missing, b = x, b = y, whether b is missing; z is unknown to training.
    np.testing.assert_array_equal(made, [[2, 1, 0, 0, 0], [5, 0, 0, 0, 1], [7, 0, 0, 1, 0]])


def test_an_embedded_column_is_one_of_numbers_of_categories():
    columns = (datasets.Column("a"), datasets.Column("b", ("w", "x", "y", "z"), 5))
    nan = np.nan
    learned = preprocessing.learn(np.array([[1, 0], [2, 2], [9, nan]], np.float32), columns)
    made = preprocessing.encode(
        np.array([[1, 1], [1, 0], [1, 2], [1, 3], [1, nan]], np.float32), learned
    )
    np.testing.assert_array_equal(made[:, 1], [0, 1, 2, 0, 3])  # 0: unknown; 3: missing
    assert learned[1].width == 1
    assert preprocessing.Preprocessing(learned, None).embedded == (
        preprocessing.Embedded(position=1, input_dim=4, output_dim=5),
    )


def test_any_column_can_be_embedded_and_is_the_same_data(tmp_path):
    streets = [f"street {i % 26}" for i in range(N)]  # too many for columns of 0 and 1
    text = csv(range(N), WIDTH, streets, SHAPE, KIND, names="row,width,street,shape,kind")
    dataset = table(tmp_path, text, embed=["street", "width"], embed_dim=3)
    dims = {column.name: column.embed_dim for column in dataset.columns}
    assert dims == {"width": 3, "street": 3, "shape": None}
    one_hot = table(tmp_path, text, categories=["width"], columns=["width", "street", "shape"])
    assert one_hot.digest == dataset.digest
    with pytest.raises(
        RequestError, match=r"dataset\.embed: 'kind' is not one of the columns that"
    ):
        table(tmp_path, text, embed=["kind"])
    with pytest.raises(RequestError, match=r"dataset\.embed: 'stret' is not a column .*street"):
        table(tmp_path, text, embed=["stret"])


def test_a_text_column_stands_beside_the_others_with_the_words_of_the_training_partition(tmp_path):
    notes = [f"A {k}-like, {'x' * (i + 1)} flower" for i, k in enumerate(KIND)]
    notes[3] = ""
    text = csv([f'"{note}"' for note in notes], WIDTH, SHAPE, KIND, names="note,width,shape,kind")
    dataset = table(tmp_path, text, text="note", vocabulary=4, embed_dim=5, length=9)
    note, width, _ = dataset.columns
    assert (note.words.column, note.length, width.length) == ("note", 4, 1)
    assert {"flower", "roselike", "x"} <= set(note.words.known)
    split = splits.split_dataset(dataset, SplitConfig("holdout", 0.5, 0, stratify=False))
    encoded, learned = preprocessing.encoded(dataset, split)
    (embedded,) = learned.embedded
    assert embedded == preprocessing.Embedded(position=0, input_dim=6, output_dim=5, length=4)
    known = [note.words.known[number - 2] for number in learned.columns[0].categories]
    texts = preprocessing.rows_of(dataset.x_train[split.train], dataset.columns)["note"]
    words = [word for each in texts for word in each.split()]
    counts = sorted((words.count(word) for word in set(words)), reverse=True)
    assert [words.count(word) for word in known] == counts[:4]
    assert encoded.x_train.shape[1] == 4 + 1 + 3
    assert encoded.x_train[:, :4].max() == 5
    names = [*dataset.train.names, *dataset.test.names]
    row = names.index("own.csv, row 4")  # the empty text: one unknown word
    empty = np.concatenate([encoded.x_train, encoded.x_test])[row, :4]
    np.testing.assert_array_equal(empty, [1, 0, 0, 0])


def test_texts_that_are_left_out_or_the_only_column_name_the_setting(tmp_path):
    notes = [f"note number {i} of this {'day ' * i}" for i in range(N)]
    dataset = table(tmp_path, csv(notes, WIDTH, KIND, names="note,width,kind"))
    (said,) = [note for note in dataset.notes if "left out" in note]
    assert "'dataset.text=[note]' learns from its words" in said
    alone = csv(notes, KIND, names="note,kind")
    with pytest.raises(RequestError, match=r"no column is left .*'dataset\.text=\[note\]'"):
        table(tmp_path, alone)
    assert table(tmp_path, alone, text=["note"]).x_train.shape[1] == 44
    with pytest.raises(RequestError, match=r"dataset\.text: 'nte' is not a column .*note"):
        table(tmp_path, alone, text="nte")


@pytest.mark.parametrize(
    ("written", "settings", "said"),
    [
        (lambda x: f'"{x * 1000:,.2f}"', {}, "of thousands: width (1,000.50)"),
        (lambda x: f"${x:.2f}", {}, "of currency"),
        (lambda x: f"{x:.1f} %", {}, "of percent"),
        (lambda x: f"{x * 1000:,.2f}".replace(",", "'"), {}, "of thousands: width (1'000.50)"),
        (
            lambda x: f"{x * 1000:,.2f}".replace(",", "\u202f").replace(".", ","),
            {"separator": ";"},
            "of thousands: width (1\u202f000.50)",
        ),
        (lambda x: f'"{x:.1f}"'.replace(".", ","), {}, "decimal comma"),
        (lambda x: f"\u2212{x:.2f}", {}, ""),
        (lambda x: f"{x:.2f} \u20ac".replace(".", ","), {"separator": ";"}, "decimal comma"),
    ],
    ids=[
        *("thousands", "dollars", "percent", "apostrophes", "spaces", "quoted commas"),
        *("minus sign", "euros"),
    ],
)
def test_numbers_with_signs_are_numbers_to_training_and_to_the_saved_network(
    tmp_path, written, settings, said
):
    separator = settings.get("separator", ",")
    values = 1.0005 + np.arange(N) % 7
    text = csv([written(value) for value in values], SHAPE, KIND, separator=separator)
    dataset = table(tmp_path, text)
    assert dataset.columns[0].is_number
    assert said in " ".join(dataset.notes)
    x = np.concatenate([dataset.x_train, dataset.x_test])[:, 0]
    factor = 1000 if "of thousands" in said else -1 if not said else 1
    assert sorted({round(abs(one / factor)) for one in x.tolist()}) == [1, 2, 3, 4, 5, 6, 7]
    assert np.sign(x[0]) == np.sign(factor)
    if separator == "," and said != "decimal comma":
        cells = np.array([written(values[0]).strip('"')])
        assert rows.numbers_of(cells)[0] == pytest.approx(factor * values[0], rel=1e-2)


def test_points_of_thousands_are_left_out_beside_decimal_commas(tmp_path):
    widths = [["1.234,5", "2.345", "7,5"][i % 3] for i in range(N)]
    dataset = table(tmp_path, csv(widths, SHAPE, KIND, separator=";"))
    x = np.concatenate([dataset.x_train, dataset.x_test])[:, 0]
    assert sorted(set(x.tolist())) == [7.5, 1234.5, 2345]


def test_a_file_that_shows_no_decimal_sign_has_that_of_the_training_file(tmp_path):
    widths = [["1.234,5", "2.345", "7,5"][i % 3] for i in range(N)]
    later = csv(["2.345", "3.456"], SHAPE[:2], KIND[:2], separator=";")
    (tmp_path / "val.csv").write_text(later)
    dataset = table(
        tmp_path, csv(widths, SHAPE, KIND, separator=";"), val_path=str(tmp_path / "val.csv")
    )
    assert dataset.x_train[dataset.train.is_val][:, 0].tolist() == [2345, 3456]
    assert dataset.format == Format(";", ",", "utf-8")


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: "sep=;\r\n" + text.replace(",", ";").replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\n\n" + text,
        lambda text: text.replace(",", ", ").replace("rose", '"rose"'),
    ],
    ids=["a first line with the separator", "carriage returns", "blank lines", "spaces"],
)
def test_tables_of_other_programs_are_the_same_data(tmp_path, changed):
    text = csv(WIDTH, SHAPE, KIND)
    assert table(tmp_path, changed(text), name="b.csv").digest == table(tmp_path, text).digest


def test_nested_columns_of_parquet_are_named_and_left_out(tmp_path):
    frame = pd.DataFrame({"width": WIDTH, "vector": [[1.0, 2.0]] * N, "kind": KIND})
    dataset = table(tmp_path, frame, name="nested.parquet")
    assert [column.name for column in dataset.columns] == ["width"]
    assert any("'vector' is left out: its cells are lists" in note for note in dataset.notes)


def test_two_columns_of_one_name_in_parquet_are_named(tmp_path):
    columns = pyarrow.Table.from_arrays([WIDTH, SHAPE, KIND], names=["width", "width", "kind"])
    path = tmp_path / "own.parquet"
    pyarrow.parquet.write_table(columns, path)
    with pytest.raises(RequestError, match="there are two columns 'width'; give one of them"):
        datasets.load(TableConfig("table", path=str(path), label="kind", **HELD_OUT))


def test_categories_that_the_training_partition_lacks_are_counted(tmp_path):
    table(tmp_path, csv(WIDTH, ["new", "round", *SHAPE[2:]], KIND), name="test.csv")
    shapes = ["flat", "flat", "round", "round"] * (N // 4)
    dataset = table(tmp_path, csv(WIDTH, shapes, KIND), test_path=str(tmp_path / "test.csv"))
    split = splits.split_dataset(dataset, NONE)
    (said,) = preprocessing.unseen_categories(dataset, split)
    bent = SHAPE[2:].count("bent")
    assert f"column 'shape': {1 + bent} rows of val and test have a category" in said
    assert "('bent', 'new')" in said
    assert said in preprocessing.encoded(dataset, split)[0].notes


@pytest.mark.parametrize(
    "date", ["3 Jan 2024", "3 JANUARY 2024", "03-Mar-24", "January 3, 2024 12:30"]
)
def test_dates_with_names_of_months_are_dates(tmp_path, date):
    with pytest.raises(RequestError, match="column 'day' holds dates"):
        table(tmp_path, csv([f'"{date}"'] * N, WIDTH, KIND, names="day,width,kind"))


@pytest.mark.parametrize("time", ["08:{:02}", "8:{:02} PM", "08:{:02}:59.5"])
def test_times_of_day_are_refused_unless_they_are_called_categories(tmp_path, time):
    text = csv([time.format(i) for i in range(N)], WIDTH, KIND, names="clock,width,kind")
    with pytest.raises(
        RequestError, match=r"'clock' holds times of day \(0?8:00.*such as the hour"
    ):
        table(tmp_path, text)
    assert len(table(tmp_path, text, categories=["clock"]).columns) == 2


def test_another_separator_in_later_lines_is_named(tmp_path):
    text = csv(WIDTH, SHAPE, KIND)
    mixed = text[:-20] + text[-20:].replace(",", ";")
    with pytest.raises(
        RequestError, match=r"first line is separated by commas, but line \d+ by semi"
    ):
        table(tmp_path, mixed)
    header = csv(WIDTH, SHAPE, KIND).replace("width,shape", "width;shape", 1)
    with pytest.raises(
        RequestError, match=r"first line mixes commas and semicolons \('width;shape,kind'\), line 2"
    ):
        table(tmp_path, header)
    partly = text + "1.5,round;rose\n"
    with pytest.raises(RequestError, match=rf"but line {N + 2} by commas and semicolons \('1\.5"):
        table(tmp_path, partly)
    everywhere = text.replace(",rose", ";rose").replace(",tulip", ";tulip").replace(",k", ";k")
    with pytest.raises(RequestError, match="another separator in 'shape;kind': use one"):
        table(tmp_path, everywhere)
    quoted = csv(['"a;b;c\nd;e;f"'] * N, WIDTH, KIND, names="note,width,kind")
    assert len(table(tmp_path, quoted, name="b.csv").columns) == 2


def test_a_short_row_of_decimal_commas_has_one_separator(tmp_path):
    text = csv(["1,5"] * N, SHAPE, KIND, separator=";") + "2,5;flat\n"
    assert len(table(tmp_path, text, skip_unreadable=True).notes) == 3


def test_a_target_that_nobody_named_is_suggested(tmp_path):
    text = csv(WIDTH, SHAPE, KIND)
    with pytest.raises(RequestError, match=r"width, shape, kind; name .* dataset\.label=kind"):
        table(tmp_path, text, label="label")
    named = text.replace("shape", "species", 1)
    with pytest.raises(RequestError, match=r"for example dataset\.label=species"):
        table(tmp_path, named, label="label")
    with pytest.raises(RequestError, match=r"name what separates them: dataset\.separator"):
        table(tmp_path, text.replace(",", ":"))
    assert len(table(tmp_path, text.replace(",", ":"), separator=":").columns) == 2


def test_columns_without_name_and_content_are_left_out(tmp_path):
    empty = [""] * N
    dataset = table(tmp_path, csv(WIDTH, KIND, empty, empty, names="width,kind,,"))
    assert [column.name for column in dataset.columns] == ["width"]
    assert any("'column_4' is left out: it is empty" in note for note in dataset.notes)


def test_only_what_cannot_be_decoded_names_the_encoding(tmp_path):
    text = csv(WIDTH, SHAPE, KIND)
    with pytest.raises(RequestError, match="cannot be read") as caught:
        table(tmp_path, gzip.compress(text.encode())[:-9], name="own.csv.gz")
    assert "encoding" not in str(caught.value)
    with pytest.raises(RequestError, match=r"unknown encoding: klingon \(dataset\.encoding\)"):
        table(tmp_path, text, encoding="klingon")


def test_a_text_of_any_length_is_read(tmp_path):
    long = "word " * 30_000  # more than Python's own reader of CSV takes
    text = csv(WIDTH, [long.strip(), *SHAPE[1:]], [*KIND[1:], ""], names="width,shape,kind")
    found = table(tmp_path, text, text="shape", length=3, skip_unreadable=True)
    assert found.columns[-1].words.known == ("bent", "flat", "round", "word")


def test_a_short_row_with_separators_in_a_quoted_cell_is_a_row(tmp_path):
    text = csv(SHAPE, KIND, names="shape,kind") + '"round, flat"\n'
    found = table(tmp_path, text, skip_unreadable=True)
    assert len(found.x_train) + len(found.x_test) == N


def test_lines_keep_their_numbers_behind_a_line_that_names_the_separator(tmp_path):
    with pytest.raises(RequestError, match="line 4 has 3"):
        table(tmp_path, "sep=;\nwidth;kind\n1;a\n2;b;c\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n\n", "has no line of column names"),
        (b"a" * 200_000 + b",label\n1,2\n", "a name in the first line has more than 131072"),
        (b"\x00\x01\x00\x02", "is not text: save it as CSV, unpack it"),
        (b"PK\x03\x04\x00\x00plain.csv", "is not a table but an Excel workbook or another archive"),
        (b'[{"a": 1, "label": "x"}]', "is not a table but JSON: save it as CSV"),
        (b"<!DOCTYPE html>\n<p>Not found", "is not a table but a page of HTML"),
        (b'a,label\n1,x\n2,"y\n', "a quotation mark in line 3 has none that ends its cell"),
        (
            b"Of a device\na,b,label\n1,2,x\n",
            r"line \('Of a device'\) has 1 cell, line 2 has 3",
        ),
        (b"# of a device\n# 2\na,b,label\n1,2,x\n", "line 3 has 3 cells, those before 1"),
        (b"2,3,label\n1,2,x,y\n3,4,x,y\n", "first line has 3 cells, line 2 has 4; .*header=false"),
    ],
)
def test_what_is_no_csv_is_said_in_a_line(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=said):
        datasets.load(TableConfig(name="csv", path=str(path), label="label"))


def test_missing_values_are_counted_and_said(tmp_path):
    widths = ["NA" if i in (3, 5) else width for i, width in enumerate(WIDTH)]
    dataset = table(tmp_path, csv(widths, SHAPE, KIND))
    assert any("missing values: width 2" in note for note in dataset.notes)
    x = np.concatenate([dataset.x_train, dataset.x_test])
    assert np.isnan(x[:, 0]).sum() == 2
    split = splits.split_dataset(dataset, NONE)
    assert np.isfinite(preprocessing.encoded(dataset, split)[0].x_test).all()
    more = table(tmp_path, csv(WIDTH, SHAPE, KIND), name="c.csv", missing=["flat"])
    assert any("shape 13" in note for note in more.notes)


@pytest.mark.parametrize(
    ("first", "name", "said"),
    [
        (range(N), "row", "row number, different in every row"),
        (range(0, 3 * N, 3), "id", "index, different in every row"),
        ([f"p{i}" for i in range(N)], "code", "different in every row, as an identifier is"),
        (KIND, "leak", "copy of the target (leak)"),
        ([{k: i for i, k in enumerate(KIND)}[k] for k in KIND], "code", "under other names (leak)"),
        ([""] * N, "nothing", "it is empty"),
    ],
)
def test_what_is_no_feature_is_named_and_left_out_unless_asked_for(tmp_path, first, name, said):
    text = csv(first, WIDTH, KIND, names=f"{name},width,kind")
    dataset = table(tmp_path, text)
    assert [column.name for column in dataset.columns] == ["width"]
    assert any(f"column {name!r} is left out" in note and said in note for note in dataset.notes)
    if name != "nothing":
        asked = table(tmp_path, text, columns=[name])
        assert [column.name for column in asked.columns] == [name]


def test_columns_can_be_dropped_and_numbers_be_categories(tmp_path):
    text = csv([i % 4 for i in range(N)], WIDTH, KIND, names="zip,width,kind")
    dataset = table(tmp_path, text, drop=["width"], categories=["zip"])
    assert [(c.name, c.categories) for c in dataset.columns] == [("zip", ("0", "1", "2", "3"))]
    with pytest.raises(RequestError, match=r"dataset\.drop: 'wdith'.*mean width\?"):
        table(tmp_path, text, drop=["wdith"])


@pytest.mark.parametrize(
    ("name", "encode", "said"),
    [
        ("a.csv", lambda text: text.encode("utf-8-sig"), ""),
        ("a.csv", lambda text: text.encode("utf-16"), "read as utf-16"),
        ("a.csv", lambda text: text.encode("utf-32"), "read as utf-32"),
        (
            "a.csv",
            lambda text: text.encode("latin-1"),
            "read as cp1252, which gives words such as größe",
        ),
        ("a.tsv", lambda text: text.replace(",", "\t").encode(), ""),
        ("a.csv", lambda text: text.replace(",", "|").encode(), "separated by bars"),
        ("a.txt", lambda text: text.replace(",", " ").encode(), "separated by spaces"),
        ("a.csv", lambda text: text.replace(",", ";").replace(".", ",").encode(), "decimal comma"),
    ],
    ids=["BOM", "UTF-16", "UTF-32", "latin-1", "tabs", "bars", "spaces", "semicolons"],
)
def test_forms_of_a_file_are_found_out_and_said(tmp_path, name, encode, said):
    text = csv(WIDTH, [shape.replace("flat", "größe") for shape in SHAPE], KIND)
    plain = table(tmp_path, text, name="plain.csv")
    dataset = table(tmp_path, encode(text), name=name)
    assert dataset.digest == plain.digest
    assert said in " ".join(dataset.notes)


def test_parquet_is_the_same_table(tmp_path):
    text = csv(WIDTH, SHAPE, KIND)
    frame = pd.DataFrame({"width": map(float, WIDTH), "shape": SHAPE, "kind": KIND})
    assert table(tmp_path, frame, name="a.parquet").digest == table(tmp_path, text).digest


@pytest.mark.parametrize(
    ("target", "task", "outputs"),
    [
        ([1 + i % 10 for i in range(N)], "classes", 10),
        ([(-1) ** i for i in range(N)], "classes", 2),
        (["yes" if i % 2 else "no" for i in range(N)], "classes", 2),
        ([i % 2 == 0 for i in range(N)], "classes", 2),
        ([20000 + 7.5 * i for i in range(N)], "numbers", 1),
        ([20000 + 7 * i for i in range(N)], "numbers", 1),
    ],
    ids=["1 to 10", "signs", "text", "booleans", "decimals", "prices"],
)
def test_the_task_follows_from_the_target(tmp_path, target, task, outputs):
    dataset = table(tmp_path, csv(WIDTH, SHAPE, target))
    assert (dataset.task, dataset.num_classes) == (task, outputs)


def test_a_few_rows_of_prices_are_a_quantity_too(tmp_path):
    prices = [326, 326, 327, 334, 335, 336, 336, 337, 337, 338]
    few = csv(WIDTH[:10], SHAPE[:10], prices)
    dataset = table(tmp_path, few)
    assert dataset.task == "numbers"
    assert any("7 different numbers: a quantity" in note for note in dataset.notes)
    rated = csv(WIDTH[:10], SHAPE[:10], [1, 2, 3, 4, 5] * 2)
    assert table(tmp_path, rated, name="rated.csv").task == "classes"
    with pytest.raises(RequestError, match="class '327' has 1 sample"):
        table(tmp_path, few, task="classes")
    (tmp_path / "test.csv").write_text(few)  # which may show each class again
    assert table(tmp_path, few, test_path=str(tmp_path / "test.csv")).task == "classes"


def test_several_targets_are_several_numbers(tmp_path):
    price = [f"{i}.5" for i in range(N)]
    text = csv(WIDTH, price, WIDTH[::-1], names="width,price,rent")
    dataset = table(tmp_path, text, label=["price", "rent"])
    assert (dataset.task, dataset.class_names) == ("numbers", ("price", "rent"))
    assert dataset.y_test.shape == (8, 2)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (csv(["1.5", "n/k", *WIDTH[2:]], SHAPE, KIND), ["row 2", "'width'", "n/k", "missing="]),
        (
            csv([f"2024-01-{1 + i % 28:02d}" for i in range(N)], SHAPE, KIND),
            ["dates", "split.order"],
        ),
        ("1.5,2,rose\n" * 5, ["looks like data", "header"]),
        (csv(WIDTH, SHAPE, KIND, names="a,a,kind"), ["two columns 'a'"]),
        (csv(WIDTH, SHAPE, ["", *KIND[1:]]), ["row 1 is empty", "target"]),
        (csv(WIDTH, SHAPE, KIND, names="a,b,kindd"), ["label=kind is not a column", "mean kindd?"]),
        (csv(WIDTH, SHAPE, KIND) + "1,2,3,4\n", ["cannot be read as CSV", "line"]),
        (
            csv([f"{i}.5" if i % 3 else "-" for i in range(N)], SHAPE, KIND),
            ["row 1", "'width'", "got '-'", "missing=[-]"],
        ),
        (
            csv(WIDTH, [f'"{i % 9},5"' for i in range(N)], KIND),
            ["'shape' holds decimal commas (0,5)", "with a point", "categories=[shape]"],
        ),
        (
            csv([f"p{i}" for i in range(N)], [""] * N, KIND),
            ["no column is left to learn from: 'width'", "different in every row"],
        ),
    ],
    ids=[
        "text among numbers",
        "dates",
        "no header",
        "twice",
        "no target",
        "misspelt",
        "ragged",
        "a word among numbers",
        "decimal commas among points",
        "identifiers alone",
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_the_way_out(tmp_path, text, parts):
    with pytest.raises(RequestError) as caught:
        table(tmp_path, text)
    for part in parts:
        assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_the_only_column_is_kept_although_it_says_little(tmp_path):
    numbered = table(tmp_path, csv(range(N), KIND, names="width,kind"))
    assert [column.name for column in numbered.columns] == ["width"]
    assert (
        "column 'width' is kept, since no other is left, but it is a row number"
        in (numbered.notes[0])
    )
    renamed = table(tmp_path, csv(["r" if kind == "rose" else "t" for kind in KIND], KIND,
                                  names="shape,kind"))  # fmt: skip
    assert "but it is the target under other names" in renamed.notes[0]


def test_several_targets_say_yes_or_no_or_are_numbers(tmp_path):
    answers = [["yes", "No"][i % 2] for i in range(N)]
    flags = [["true", "false"][i % 3 > 0] for i in range(N)]
    text = csv(WIDTH, answers, flags)
    sets = table(tmp_path, text, label=["shape", "kind"], test_fraction=0.25)
    assert (sets.task, sets.class_names) == ("label_sets", ("shape", "kind"))
    assert sets.y_train.sum() + sets.y_test.sum() == N / 2 + 14
    with pytest.raises(RequestError, match="row 1, column 'kind' is 'rose'"):
        table(tmp_path, csv(WIDTH, answers, KIND), label=["shape", "kind"])


@pytest.mark.parametrize(("task", "word"), [(None, "-"), (None, "unknown"), ("numbers", "much")])
def test_a_text_among_the_numbers_of_a_target_is_named(tmp_path, task, word):
    prices = [word if i % 9 == 3 else f"{i}.25" for i in range(N)]
    with pytest.raises(RequestError) as caught:
        table(tmp_path, csv(WIDTH, SHAPE, prices), task=task)
    assert f"row 4 is '{word}'" in str(caught.value)
    kept = table(
        tmp_path, csv(WIDTH, SHAPE, prices), task=task, missing=[word], skip_unreadable=True
    )
    assert kept.task == "numbers"


def test_numbers_and_texts_in_one_column_or_a_row_without_group_are_said(tmp_path):
    doors = [["2", "4", "5more", "3"][i % 4] for i in range(N)]
    group = ["" if i % 10 == 0 else f"s{i // 4}" for i in range(N)]
    text = csv(doors, group, KIND, names="doors,owner,kind")
    asked = SplitConfig("holdout", 0.25, 0, None, group="owner")
    dataset = table(tmp_path, text, split=asked)
    assert "column 'doors' holds 3 numbers and 1 texts (such as '5more')" in dataset.notes[0]
    assert "'owner' of split.group is empty in 4 rows, which count as one group" in dataset.notes[1]
    assert not table(tmp_path, text, columns=["doors"], categories=["doors"]).notes


def test_the_index_of_a_parquet_file_is_a_column_if_it_has_a_name(tmp_path):
    frame = pd.DataFrame({"width": WIDTH, "kind": KIND}, index=pd.Index(SHAPE, name="shape"))
    frame.to_parquet(tmp_path / "indexed.parquet")
    config = TableConfig("table", path=str(tmp_path / "indexed.parquet"), label="kind", **HELD_OUT)
    assert {column.name for column in datasets.load(config).columns} == {"shape", "width"}


def test_a_file_without_header_names_its_columns(tmp_path):
    dataset = table(tmp_path, "1.5,2,rose\n2.5,3,tulip\n" * 5, header=False, label="column_3")
    assert [column.name for column in dataset.columns] == ["column_1", "column_2"]


def test_a_column_of_groups_or_times_is_no_feature_and_divides_the_rows(tmp_path):
    patients = [f"p{i // 4}" for i in range(N)]
    text = csv(patients, WIDTH, KIND, names="patient,width,kind")
    asked = SplitConfig("holdout", 0.25, 0, None, group="patient")
    dataset = table(tmp_path, text, split=asked)
    assert [column.name for column in dataset.columns] == ["width"]
    split = splits.split_dataset(dataset, asked)
    parts = [dataset.train.groups[split.train], dataset.train.groups[split.val]]
    parts.append(dataset.test.groups)
    assert sum(len(set(part)) for part in parts) == len(set(patients))
    days = [f"2024-{1 + i // 20:02d}-{1 + i % 20:02d}" for i in range(N)]
    text = csv(days, WIDTH, KIND, names="day,width,kind")
    by_time = SplitConfig("holdout", 0.25, 0, None, order="day")
    dataset = table(tmp_path, text, split=by_time, name="days.csv")
    split = splits.split_dataset(dataset, by_time)
    assert dataset.train.order[split.train].max() < dataset.train.order[split.val].min()


def test_a_second_file_is_the_validation_part(tmp_path):
    (tmp_path / "val.csv").write_text(csv(WIDTH[:6], SHAPE[:6], KIND[:6]))
    dataset = table(tmp_path, csv(WIDTH, SHAPE, KIND), val_path=str(tmp_path / "val.csv"))
    assert len(splits.split_dataset(dataset, SplitConfig("given")).val) == 6


@pytest.mark.parametrize("word", ["nan", "NA", "?"])
def test_a_target_of_numbers_with_a_gap_is_no_set_of_classes(tmp_path, word):
    prices = [f"{i / 7:.3f}" for i in range(N - 1)] + [word]
    with pytest.raises(RequestError, match=rf"row 40 is empty \({word if word != '?' else '.'}\)"):
        table(tmp_path, csv(WIDTH, SHAPE, prices))


@pytest.mark.parametrize("word", ["inf", "-Infinity", "1e999"])
def test_a_target_of_numbers_that_is_infinite_is_no_set_of_classes(tmp_path, word):
    prices = [f"{i / 7:.3f}" for i in range(N - 2)] + [word, "nan"]
    with pytest.raises(RequestError, match=rf"finite numbers, but .*row 39 is {word}"):
        table(tmp_path, csv(WIDTH, SHAPE, prices))


def test_a_word_of_dataset_missing_is_no_class(tmp_path):
    text = csv(WIDTH, SHAPE, [*KIND[:-2], "NA", "NA"])
    assert "NA" in table(tmp_path, text).class_names
    with pytest.raises(
        RequestError, match=r"row 39 is empty \(NA\); 2 of 40 .*skip_unreadable=true"
    ):
        table(tmp_path, text, missing=["NA"])


def test_rows_without_a_target_can_be_left_out(tmp_path):
    prices = [f"{i / 7:.3f}" for i in range(N)]
    prices[3], prices[20] = "NA", ""
    rows = csv(range(N), WIDTH, prices, names="row,width,kind")
    with pytest.raises(RequestError, match=r"2 of 40 rows are: .* dataset\.skip_unreadable=true"):
        table(tmp_path, rows)
    (tmp_path / "test.csv").write_text(rows)
    dataset = table(tmp_path, rows, skip_unreadable=True, test_path=str(tmp_path / "test.csv"))
    assert "left out: 2 of 40 rows of own.csv, whose target (kind) is missing" in dataset.notes
    assert "left out: 2 of 40 rows of test.csv, whose target (kind) is missing" in dataset.notes
    numbers = [int(name.rpartition(" ")[2]) for name in dataset.train.names]
    assert numbers == [row for row in range(1, N + 1) if row not in (4, 21)]
    np.testing.assert_allclose(dataset.y_train, [(row - 1) / 7 for row in numbers], atol=1e-3)
    # Row numbers with gaps are row numbers still.
    assert [column.name for column in dataset.columns] == ["width"]
    with pytest.raises(RequestError, match=r"40 of 40 rows are$"):
        table(tmp_path, csv(WIDTH, SHAPE, [""] * N), skip_unreadable=True)


def test_whole_numbers_are_no_row_numbers_because_most_rows_are_left_out(tmp_path):
    rows = range(300)
    weight, width = [7 * i % 211 for i in rows], [f"{i % 7}.5" for i in rows]
    kind = ["" if i % 10 else KIND[i // 10] for i in rows]
    text = csv(weight, width, kind, names="weight,width,kind")
    dataset = table(tmp_path, text, skip_unreadable=True)
    assert [column.name for column in dataset.columns] == ["weight", "width"]


def test_a_class_is_left_out_where_it_says_that_the_target_is_missing(tmp_path):
    rows = csv(WIDTH, SHAPE, ["NA", *KIND[1:-1], "NA"])
    dataset = table(tmp_path, rows, skip_unreadable=True)
    assert dataset.class_names == ("NA", "rose", "tulip")
    assert any("'dataset.missing=[NA]' dataset.skip_unreadable=true" in n for n in dataset.notes)
    dataset = table(tmp_path, rows, skip_unreadable=True, missing=["NA"])
    assert dataset.class_names == ("rose", "tulip")
    assert len(dataset.x_train) + len(dataset.x_test) == N - 2


def test_a_class_may_be_called_na(tmp_path):
    assert table(tmp_path, csv(WIDTH, SHAPE, ["NA", "DE"] * (N // 2))).class_names == ("DE", "NA")


def test_a_class_called_as_what_is_missing_is_said(tmp_path):
    dataset = table(tmp_path, csv(WIDTH, SHAPE, ["NA", *KIND[1:-1], "NA"]))
    assert any("the target is NA in 2 rows" in note for note in dataset.notes)


def test_gzip_and_quoted_names_are_read(tmp_path):
    plain = table(tmp_path, csv(WIDTH, SHAPE, KIND))
    names = "'width' 'shape' 'kind'".replace(" ", ",")
    packed = gzip.compress(csv(WIDTH, SHAPE, KIND, names=names).encode())
    read = table(tmp_path, packed, name="own.csv.gz")
    assert read.digest == plain.digest
    with pytest.raises(RequestError, match="cannot be read"):
        table(tmp_path, packed[:-20], name="torn.csv.gz")


def load_labelled(path):
    settings = {"label": "label", "test_fraction": 0.25, "test_seed": 0}
    return datasets.load(TableConfig(name="table", path=str(path), **settings))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_whole_numbers_that_floats_cannot_tell_apart_are_two_classes(kind, tmp_path):
    """Identification numbers, for instance."""
    path = tmp_path / f"t.{kind}"
    table = pd.DataFrame({"a": range(24), "label": [10**17 + i % 2 for i in range(24)]})
    getattr(table, f"to_{kind}")(path, index=False)
    assert load_labelled(path).class_names == (str(10**17), str(10**17 + 1))


def test_one_cell_does_not_make_a_column_that_fills_the_memory(tmp_path):
    cells = ["x" * 5_000_000, *["y"] * 20_000]
    pd.DataFrame({"a": cells, "label": 0}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(RequestError, match=r"'a' has a cell of 5000000 letters.* 373 GB"):
        load_labelled(tmp_path / "t.parquet")


def test_a_parquet_file_that_unpacks_to_much_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_bombs, "MUCH_BYTES", 2**20)
    zeros = np.zeros(1_000_000, np.int8)
    pd.DataFrame({"a": zeros, "label": zeros}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(RequestError, match="would unpack to 15 MB: it is taken for a zip bomb"):
        load_labelled(tmp_path / "t.parquet")
