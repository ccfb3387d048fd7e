"""Encodings of text files: what is certain, what is guessed and said, what an earlier file says."""

import pytest

from fitgap.data import encodings
from fitgap.data.parts import PLAIN, Format
from fitgap.data.table_format import recorded_format

TEXTS = {
    "cp949": "지역,면적,종류\n서울,84.5,아파트\n부산,59.9,빌라\n대구,102.3,주택\n",
    "cp932": "地域,面積,種類\n東京,84.5,マンション\n大阪,59.9,アパート\n名古屋,102.3,一戸建て\n",
    "gb18030": "地区,面积,类型\n北京,84.5,公寓\n上海,59.9,别墅\n广州,102.3,住宅\n",
    "big5": "地區,面積,類型\n臺北,84.5,公寓\n高雄,59.9,別墅\n臺中,102.3,住宅\n",
    "cp1251": "город,площадь,тип\nМосква,84.5,квартира\nКазань,59.9,дом\n",
    "cp1252": "länge,größe,preis\n1.5,Röschen,12 €\n2.5,“Tulpe”,9 €\n",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_the_encoding_of_a_text_is_seen_in_its_bytes_and_said_with_words_of_it(encoding):
    text = TEXTS[encoding] * 3
    (found,) = encodings.decoded([text.encode(encoding)])
    assert found.text == text
    (said,) = found.notes("own.csv")
    assert f"own.csv is not UTF-8: read as {encoding}" in said
    assert text.partition(",")[0] in said
    assert "dataset.encoding, for example" in said


def test_no_guess_is_made_where_the_bytes_or_a_person_say_the_encoding():
    text = TEXTS["cp949"]
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        (found,) = encodings.decoded([text.encode(encoding)], usual="cp949")
        assert (found.text, found.is_guess) == (text, False)
    (found,) = encodings.decoded([text.encode("johab")], encoding="johab", usual="cp949")
    assert found.text == text
    assert found.notes("own.csv") == ["own.csv: read as johab (dataset.encoding)"]


def test_few_words_are_read_as_those_of_an_earlier_file():
    few = "area,kind\n1,집\n".encode("cp949")
    assert encodings.decoded([few], usual="cp949")[0].text.endswith("1,집\n")
    (found,) = encodings.decoded(["Köln, größe".encode("cp1252")], usual="cp949")  # no text there
    assert found.text == "Köln, größe"


def test_the_files_of_a_folder_are_read_alike():
    texts = ["집 한 채", "plain", *TEXTS["cp949"].split()]
    found = encodings.decoded([text.encode("cp949") for text in texts])
    assert [each.text for each in found] == texts
    assert {each.encoding for each in found} == {"utf-8", "cp949"}


def test_any_bytes_are_a_text():
    (found,) = encodings.decoded([bytes(range(256))])
    assert (len(found.text), found.encoding) == (256, "latin-1")


@pytest.mark.parametrize(
    ("recorded", "format_"),
    [
        ({"separator": ";", "decimal": ",", "encoding": "cp949"}, Format(";", ",", "cp949")),
        ({"train_shape": [3, 4], "decimal": ","}, Format(",", ",")),
        ({"decimal": "x", "separator": ["\n"], "encoding": "rot13"}, PLAIN),
    ],
    ids=["today's", "the decimal sign alone", "others"],
)
def test_a_record_names_a_format_that_could_have_been_found(recorded, format_):
    assert recorded_format(recorded) == format_
