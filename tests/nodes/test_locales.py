"""Translations: complete, up to date, and served by the host under the codes its frontend uses."""

from __future__ import annotations

import json
import re

import pytest
from video_ldm.demo import locales


@pytest.fixture(scope="module")
def nodes(node_info):
    return node_info


def test_nothing_is_missing_and_nothing_is_stale(nodes):
    locales.check(nodes, locales.read_phrases())


@pytest.mark.parametrize("language", locales.WRITTEN_LANGUAGES)
def test_the_files_are_what_the_phrases_say(nodes, language):
    written = (locales.LOCALES / language / "nodeDefs.json").read_text("utf-8")
    assert written == locales.content(nodes, locales.read_phrases(), language)


@pytest.mark.parametrize("language", locales.WRITTEN_LANGUAGES)
def test_the_host_serves_them(server, nodes, language):
    served = server.get("/i18n")[language]["nodeDefs"]
    assert set(locales.own(nodes)) <= set(served)
    assert all(node["display_name"] and node["inputs"] for node in served.values())


def test_a_new_input_without_translation_is_noticed(nodes):
    phrases = locales.read_phrases()
    del phrases["names"]["seed"]["ko"]
    phrases["texts"]["A tooltip of old."] = dict.fromkeys(locales.LANGUAGES, "...")
    with pytest.raises(locales.LocaleError, match=r"2 to do:\n.*not in ko: 'seed'\n.*'A tooltip of old.'"):
        locales.content(nodes, phrases, "ja")


def test_translations_are_in_their_script_and_safe_for_the_frontend():
    """vue-i18n gives braces, bars and at signs a meaning of their own."""
    scripts = {
        "zh": r"[\u4e00-\u9fff]",
        "zh-TW": r"[\u4e00-\u9fff]",
        "ja": r"[\u3040-\u30ff\u4e00-\u9fff]",
        "ko": r"[\uac00-\ud7a3]",
    }
    for kind, phrases in locales.read_phrases().items():
        for english, words in phrases.items():
            assert set(words) - {locales.ENGLISH} == set(locales.LANGUAGES)
            for language, text in words.items():
                assert not re.search(r"[{}|@]", text), text
                if kind == "texts" and language != locales.ENGLISH:
                    assert re.search(scripts[language], text), (english, language)


def test_numbers_and_file_folders_survive_translation():
    kept = re.compile(r"models/[a-z_]+|\d+\.\d+|(?<!\d)\d{2,}(?!\d)")
    for english, words in locales.read_phrases()["texts"].items():
        for text in words.values():
            assert set(kept.findall(english)) <= set(kept.findall(text)), text


def test_no_name_on_a_node_is_written_for_machines(nodes):
    """Names in English have spaces, but for those that artists write in prompts."""
    served = json.loads(locales.content(nodes, locales.read_phrases(), locales.ENGLISH))
    names = [given["name"] for node in served.values() for given in node["inputs"].values()]
    assert {name for name in names if "_" in name} == {"pw_a", "pw_b", "pw_c", "pw_d"}
    shown = served["VLDM_RenderVideo"]["inputs"]
    assert (shown["samples"]["name"], shown["images"]["name"]) == (
        "samples (or images)",
        "images (or samples)",
    )
