"""The report on an archive of a person's own images, before any of it is kept."""

import streamlit as st
import torch

from core.data import ImportReport
from core.data.own.importing import Checked
from core.figures.bars import split_counts
from core.figures.images import contact_sheet
from core.figures.in_words import in_words
from pages.parts.shell.markdown import as_text, in_table
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table


def show_report(checked: Checked) -> None:
    """What the archive holds."""
    report = checked.report
    st.markdown("### What was found")
    exact, near = report.exact_copies, report.near_copies
    metrics_row({
        "Accepted": (f"{report.accepted:,}", f"Images of {len(report.classes)} classes that can be learned from."),
        "Resized": (f"{report.resized:,}", "Accepted images that had another size."),
        "Rejected": (f"{report.rejected_count:,}", "Files that can't be used, each with its reason below."),
        "Exact copies": (f"{exact.within + exact.across:,}", "Images with the same pixels as an earlier one, at the new size."),
        "Near copies": (f"{near.within + near.across:,}", "Images that look almost like an earlier one: saved again or a "
                        "little brighter. Their gray values, averaged over 16×16 blocks, correlate by 0.99 or more."),
    })
    if report.reading:
        st.markdown(f":material/schema: {as_text(report.reading)}")
    for line in lines(report):
        st.markdown(f"- {as_text(line)}")
    st.image(contact_sheet(torch.from_numpy(checked.samples()), 12, gap=2), width="stretch", output_format="PNG",
             alt="Some of the accepted images, as the network will see them")
    st.caption("Some of the accepted images, as the network will see them.")
    figure = split_counts(report.classes, report.train_counts, report.test_counts)
    st.plotly_chart(figure, key="explore.own.balance",
                    config={"displayModeBar": False}, alt=in_words(figure, "Images of each class"))
    rejected(report)
    copies(report)


def lines(report: ImportReport) -> list[str]:
    """What a person should know beside the numbers."""
    found = list(report.notes)
    across = report.exact_copies.across + report.near_copies.across
    if across:
        found.append(f"{across:,} images are in both parts: a test image looks like a training image. The test accuracy "
                     "will be too good to be true.")
    if report.conflicts:
        found.append(f"{report.conflicts:,} images are there twice with different labels; no network can get both right.")
    if report.dropped:
        found.append(f"{report.dropped:,} exact copies were left out.")
    if report.ignored:
        found.append(f"{report.ignored:,} hidden files of the operating system were ignored.")
    return found


def rejected(report: ImportReport) -> None:
    """Every file that was not taken, with its reason."""
    if not report.rejected:
        return
    with st.expander(f"Rejected files: {report.rejected_count:,}", icon=":material/block:", expanded=report.rejected_count <= 10):
        rows = [{"File": in_table(file, 400), "Reason": in_table(reason, 400)} for file, reason in report.rejected]
        draw_table(rows_table(rows), hide_index=True, key="explore.own.rejected")
        if report.rejected_count > len(report.rejected):
            most = "; ".join(f"{as_text(reason)}: {count:,}" for reason, count in report.reasons[:5])
            st.caption(f"The first {len(report.rejected):,}. The most frequent reasons: {most}.")


def copies(report: ImportReport) -> None:
    """Names of images that are there twice."""
    pairs = [{"Image": in_table(one, 400), "Its copy": in_table(other, 400), "Kind": kind} for kind, found in (
        ("exact", report.exact_copies), ("near", report.near_copies)) for one, other in found.pairs]
    if pairs:
        with st.expander("Copies", icon=":material/content_copy:"):
            st.caption("Where the split is drawn here, copies stay on the same side of it, as far as that is possible.")
            draw_table(rows_table(pairs), hide_index=True, key="explore.own.copies")
