"""Published data sets become sources: labels, splits that share no recording, and bad input in a line."""

import json
import zipfile
from xml.sax.saxutils import escape

import pytest

from mtv_jax import curate
from mtv_jax.curation.layouts.base import Entry, Listing, divided, draw_test
from mtv_jax.curation.sources import sources_of
from mtv_jax.io.errors import UserError

VGGSOUND = """# YouTube ID, start seconds, label, train/test split
---g-f_I2yQ,1,people marching,test
aaaaaaaaaaa,30,"bird chirping, tweeting",train
aaaaaaaaaaa,120,"bird chirping, tweeting",train
bbbbbbbbbbb,5,thunder,train
bbbbbbbbbbb,50,thunder,test
gggggggggg1,0,thunder,train
"""
NAMES = ["---g-f_I2yQ_000001", "aaaaaaaaaaa_000030", "aaaaaaaaaaa_000120", "bbbbbbbbbbb_000005"]
NAMES += ["bbbbbbbbbbb_000050"]
ANIMALS = (
    "Animal,Parent Class\nMantis,Insect\nBordered Mantis,Insect\nTit Bird,Bird\nLion,Mammal\nLion Fish,Fish\n"
)
TRAIN = """AABGBPZC 11.9 14.7##The bordered mantis is being eaten by a lion.
AABGBPZC 4.7 10.8##The bordered mantis is moving.
AABGBPZC 1.0 2.0##The tit bird is chirping.
AADJBFXO 2.1 6.0##Two birds are singing.
AADJBFXO 6.0 7.0##The lion roars.
ZZZZZZZZ 0.0 1.0##The sea is calm.
"""
TEST = "AALAJYTZ 1.0 7.5##The lion fish is swimming.\n"


def videos(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def listed(layout, folder, *options):
    """The lines of the list, after the reader of lists has accepted it."""
    curate.main(["sources", "--layout", layout, "--videos", str(folder), *map(str, options)])
    found = {
        source.path.relative_to(folder).as_posix(): source
        for source in sources_of(folder / "sources.jsonl").found
    }
    assert all(source.prompt == source.label and source.licence == "unknown" for source in found.values())
    return found


@pytest.fixture
def vggsound(tmp_path):
    videos(tmp_path / "v", *(f"video/{name}.mp4" for name in NAMES), "video/other_000001.mp4")
    (tmp_path / "vggsound.csv").write_text(VGGSOUND)
    return tmp_path / "v", tmp_path / "vggsound.csv"


def test_vggsound_s_clips_have_their_labels_and_share_no_recording_across_the_splits(vggsound, capsys):
    folder, table = vggsound
    found = listed("vggsound", folder, "--table", table)
    rows = {path: (source.label, source.split, source.recording) for path, source in found.items()}
    assert rows == {
        "video/---g-f_I2yQ_000001.mp4": ("people marching", "test", "---g-f_I2yQ"),
        "video/aaaaaaaaaaa_000030.mp4": ("bird chirping, tweeting", "train", "aaaaaaaaaaa"),
        "video/aaaaaaaaaaa_000120.mp4": ("bird chirping, tweeting", "train", "aaaaaaaaaaa"),
        "video/bbbbbbbbbbb_000050.mp4": ("thunder", "test", "bbbbbbbbbbb"),
    }
    assert found["video/bbbbbbbbbbb_000050.mp4"].url == "https://www.youtube.com/watch?v=bbbbbbbbbbb"
    told = capsys.readouterr()
    assert "4 videos of 3 labels: 2 train, 2 test" in told.out
    assert "1 clips of vggsound.csv have no file (first: gggggggggg1_000000)" in told.err
    assert "1 videos are not in vggsound.csv (first: video/other_000001.mp4)" in told.err
    assert "are of recordings that are for testing, too (first: video/bbbbbbbbbbb_000005.mp4)" in told.err


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("abc,1,thunder", "row 8: 3 columns; YouTube ID, start seconds, label, split are needed"),
        ("abc,1.5,thunder,train", "row 8: start '1.5': must be whole seconds"),
        ("abc,1,,train", "row 8: no label"),
        ("abc,1,thundr,train", "row 8: unknown label 'thundr'"),
        ("abc,1,thunder,valid", "row 8: split 'valid': must be train or test"),
        ("aaaaaaaaaaa,30,thunder,train", "row 8: the clip aaaaaaaaaaa_000030 is that of row 3, too"),
        ('abc,1,"thunder,train', "row 8: not CSV"),
    ],
)
def test_a_bad_row_is_named(vggsound, tmp_path, row, told):
    folder, table = vggsound
    table.write_text(f"{VGGSOUND}{row}\n")
    labels = tmp_path / "stat.csv"
    labels.write_text('people marching,817\n"bird chirping, tweeting",1050\nthunder,325\n')
    with pytest.raises(UserError, match=told.replace("(", r"\(")) as error:
        listed("vggsound", folder, "--table", table, "--labels", labels)
    assert "\n" not in str(error.value)
    assert not (folder / "sources.jsonl").exists()


def test_a_table_of_many_bad_rows_is_still_a_line(vggsound):
    folder, table = vggsound
    table.write_text("a;b;c;d\n" * 40)
    with pytest.raises(UserError, match=r"row 1: 1 columns.*; and 35 more$"):
        listed("vggsound", folder, "--table", table)


def test_what_does_not_fit_together_is_an_error(vggsound, tmp_path):
    folder, table = vggsound
    with pytest.raises(UserError, match=r"--table: give VGGSound's vggsound.csv, once"):
        listed("vggsound", folder)
    with pytest.raises(UserError, match=r"--table: Landscape has none"):
        listed("landscape", folder, "--table", table)
    with pytest.raises(UserError, match=r"needs --table train.txt test.txt .*--labels AR_metadata.xlsx"):
        listed("animal-kingdom", folder, "--table", table)
    with pytest.raises(UserError, match=r"nowhere: no such directory"):
        curate.main(["sources", "--layout", "landscape", "--videos", str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match=r"no clip of .*vggsound.csv in it; files are named ID_SSSSSS.mp4"):
        listed("vggsound", videos(tmp_path / "w", "a.mp4"), "--table", table)
    with pytest.raises(UserError, match=r"--out .*: must be in the folder of the videos, .*, or above it"):
        listed("vggsound", folder, "--table", table, "--out", tmp_path / "elsewhere" / "list.jsonl")
    videos(folder, "again/aaaaaaaaaaa_000030.mp4")
    with pytest.raises(UserError, match=r"again/aaaaaaaaaaa_000030.mp4 and video/.*have one name"):
        listed("vggsound", folder, "--table", table)


def test_a_list_is_not_replaced_unasked_and_may_be_above_the_videos(vggsound, tmp_path):
    folder, table = vggsound
    listed("vggsound", folder, "--table", table)
    with pytest.raises(UserError, match="--overwrite"):
        listed("vggsound", folder, "--table", table)
    listed("vggsound", folder, "--table", table, "--overwrite", "--test", "1")
    out = tmp_path / "all.jsonl"
    listed("vggsound", folder, "--table", table, "--out", out)
    assert json.loads(out.read_text().splitlines()[0])["path"] == "v/video/---g-f_I2yQ_000001.mp4"
    assert len(sources_of(out).found) == 4


def test_landscape_s_folders_are_labels_and_a_tenth_of_whole_recordings_is_held_out(tmp_path):
    names = [f"splashing_water/Big river_{i}_{j}.mp4" for i in range(20) for j in range(2)]
    names += [f"thunder/storm {i}-{j}_{j + 10}.mp4" for i in range(20) for j in (0, 12)]
    found = listed("landscape", videos(tmp_path, *names))
    assert {source.label for source in found.values()} == {"splashing water", "thunder"}
    assert found["thunder/storm 3-12_22.mp4"].recording == "storm 3"
    assert found["splashing_water/Big river_3_1.mp4"].recording == "Big river_3"
    test = {source.recording for source in found.values() if source.split == "test"}
    assert sum(source.split == "test" for source in found.values()) == 8
    assert test.isdisjoint(source.recording for source in found.values() if source.split == "train")


def test_landscape_of_a_thousand_is_900_and_100():
    entries = [Entry(f"wind_noise/{i}.mp4", "wind noise", None, str(i)) for i in range(1000)]
    splits = [entry.split for entry in draw_test(entries, 100)]
    assert (splits.count("train"), splits.count("test")) == (900, 100)
    assert [entry.split for entry in draw_test(entries[::-1], 100)][::-1] == splits
    with pytest.raises(UserError, match=r"--test 501: there are 1000 videos; hold out at most half"):
        draw_test(entries, 501)


def test_landscape_s_own_split_is_kept_and_strangers_are_named(tmp_path):
    folder = videos(tmp_path / "a", "train/thunder/a_1.mp4", "train/thunder/b_1.mp4", "test/thunder/a_2.mp4")
    found = listed("landscape", folder)
    assert {path: source.split for path, source in found.items()} == {
        "train/thunder/b_1.mp4": "train",
        "test/thunder/a_2.mp4": "test",
    }
    with pytest.raises(UserError, match=r"c_1.mp4: must be CLASS/NAME"):
        listed("landscape", videos(tmp_path / "c", "c_1.mp4"))
    mixed = videos(tmp_path / "b", "train/thunder/a_1.mp4", "raining/b_1.mp4")
    with pytest.raises(UserError, match=r"some classes are in train/ or test/ and some are not"):
        listed("landscape", mixed)
    (tmp_path / "labels.csv").write_text("raining\n")
    with pytest.raises(UserError, match=r"train/thunder/a_1.mp4: unknown label 'thunder'"):
        listed("landscape", mixed, "--labels", tmp_path / "labels.csv")


def write_xlsx(path, sheets):
    """A workbook as Excel writes it: texts are shared, empty cells are left out, one text is in two fonts."""
    texts, parts = [], {}

    def cell(column, row, text):
        texts.append(text)
        return f'<c r="{"AB"[column]}{row}" t="s"><v>{len(texts) - 1}</v></c>'

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    ids = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    for number, rows in enumerate(sheets.values(), 1):
        lines = [
            f'<row r="{r}">{"".join(cell(c, r, text) for c, text in enumerate(row) if text)}</row>'
            for r, row in enumerate(rows, 1)
        ]
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
        )
    names = "".join(f'<sheet name="{name}" r:id="rId{n}"/>' for n, name in enumerate(sheets, 1))
    parts["xl/workbook.xml"] = f'<workbook xmlns="{main}" xmlns:r="{ids}"><sheets>{names}</sheets></workbook>'
    targets = "".join(
        f'<Relationship Id="rId{n}" Target="worksheets/sheet{n}.xml"/>' for n in range(1, len(sheets) + 1)
    )
    parts["xl/_rels/workbook.xml.rels"] = f"<Relationships>{targets}</Relationships>"
    items = "".join(f"<si><r><t>{escape(t[:2])}</t></r><r><t>{escape(t[2:])}</t></r></si>" for t in texts)
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{main}">{items}</sst>'
    with zipfile.ZipFile(path, "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)


@pytest.fixture
def kingdom(tmp_path):
    folder = videos(
        tmp_path / "dataset", *(f"{name}.mp4" for name in ("AABGBPZC", "AADJBFXO", "AALAJYTZ", "X"))
    )
    (tmp_path / "train.txt").write_text(TRAIN)
    (tmp_path / "test.txt").write_text(TEST)
    (tmp_path / "animals.csv").write_text(ANIMALS)
    rows = [line.split(",") for line in ANIMALS.splitlines()]
    write_xlsx(tmp_path / "AR_metadata.xlsx", {"AR": [["video_id"]], "Animal": rows})
    return folder


@pytest.mark.parametrize("labels", ["animals.csv", "AR_metadata.xlsx"])
def test_a_video_of_animal_kingdom_has_the_class_of_its_sentences(kingdom, tmp_path, labels, capsys):
    tables = (tmp_path / "train.txt", tmp_path / "test.txt")
    found = listed("animal-kingdom", kingdom, "--table", *tables, "--labels", tmp_path / labels)
    assert {path: (source.label, source.split) for path, source in found.items()} == {
        "AABGBPZC.mp4": ("insect", "train"),  # 8.9 s of mantises, 1 s of birds; who eats is no subject
        "AADJBFXO.mp4": ("bird", "train"),
        "AALAJYTZ.mp4": ("fish", "test"),  # a lion fish is no lion
    }
    told = capsys.readouterr().err
    assert "1 described videos have no file (first: ZZZZZZZZ)" in told
    assert "1 videos are not described (first: X.mp4)" in told


def test_bad_annotations_and_animals_are_named(kingdom, tmp_path):
    def run(table, labels="animals.csv"):
        return listed("animal-kingdom", kingdom, "--table", tmp_path / table, "--labels", tmp_path / labels)

    (tmp_path / "valid.txt").write_text(TRAIN)
    with pytest.raises(UserError, match=r"valid.txt: must be named train.txt or test.txt"):
        run("valid.txt")
    (tmp_path / "train.txt").write_text(f"{TRAIN}AABGBPZC 4.7##The mantis.\nAABGBPZC 9 1##The mantis.\n")
    with pytest.raises(UserError, match=r"line 7: must be `ID START END##SENTENCE`; line 8"):
        run("train.txt")
    (tmp_path / "none.csv").write_text("Animal,Class\nLion,Mammal\n")
    with pytest.raises(UserError, match=r"no column 'Parent Class'; it has Animal, Class"):
        run("test.txt", "none.csv")
    (tmp_path / "two.csv").write_text(f"{ANIMALS}lion,Fish\nBear,\n")
    with pytest.raises(UserError, match=r"row 7: lion is of fish and of mammal; row 8: no Parent Class"):
        run("test.txt", "two.csv")
    (tmp_path / "broken.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"broken.xlsx: not an Excel workbook"):
        run("test.txt", "broken.xlsx")
    write_xlsx(tmp_path / "other.xlsx", {"AR": [["video_id"]]})
    with pytest.raises(UserError, match=r"other.xlsx: no sheet 'Animal'; it has AR"):
        run("test.txt", "other.xlsx")


def test_the_draw_may_be_left_to_pack():
    entries = [Entry("a.mp4", "x", "test"), Entry("b.mp4", "x", "train")]
    assert [entry.split for entry in divided(Listing(entries), 0).entries] == [None, None]
    assert sorted(str(entry.split) for entry in divided(Listing(entries), 1).entries) == ["test", "train"]
