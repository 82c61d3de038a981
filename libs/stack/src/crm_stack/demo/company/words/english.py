"""English, as in London."""

from crm_stack.demo.company.words.language import Language

ENGLISH = Language(
    code="en",
    office="London",
    time_zone="Europe/London",
    country="United Kingdom",
    phone="+44 20 7946 0###",
    name="{given} {family}",
    families=tuple(
        (name, name)
        for name in (
            *("Ashworth", "Bellamy", "Carver", "Dunmore", "Ellery", "Fairbank", "Garland", "Hadley", "Ingram", "Kerr"),
            *(
                "Lockwood",
                "Marlow",
                "Norcott",
                "Okafor",
                "Prentice",
                "Rahman",
                "Sinclair",
                "Thorne",
                "Vance",
                "Whitmore",
            ),
        )
    ),
    givens=tuple(
        (name, name)
        for name in (
            *("Alice", "Benjamin", "Clara", "Daniel", "Eleanor", "Felix", "Grace", "Harriet", "Imran", "Julia"),
            *("Leo", "Martha", "Nathan", "Olivia", "Priya", "Rupert", "Sophie", "Thomas", "Victoria", "William"),
        )
    ),
    company=("{place} {branch} Ltd", "{word} {branch}", "{word} & {place} {branch}", "{place} {word} {branch} plc"),
    places=(
        *("Ashford", "Brackenhall", "Camborne", "Dunwick", "Eastmere", "Fernleigh", "Greystone", "Harbourne"),
        *("Kingsbrook", "Larkfield", "Millbrook", "Northgate", "Oakham", "Redcliffe", "Stanmore", "Wexcombe"),
    ),
    words=(
        "Anchor",
        "Beacon",
        "Cobalt",
        "Crescent",
        "Falcon",
        "Granite",
        "Heron",
        "Juniper",
        "Lantern",
        "Meridian",
        "Summit",
    ),
    branches=(
        ("Engineering", "manufacturing"),
        ("Foods", "food"),
        ("Water", "utilities"),
        ("Logistics", "transport"),
        ("Pharma", "pharmaceuticals"),
        ("Chemicals", "chemicals"),
        ("Energy", "energy"),
        ("Brewing", "food"),
    ),
    jobs=(
        "Head of Purchasing",
        "Plant Manager",
        "Maintenance Lead",
        "Finance Director",
        "Process Engineer",
        "Managing Director",
    ),
    address="{n} Station Road, {place}",
    deal=(
        "{product} for {customer}",
        "{customer}: {product}",
        "Replacing old sensors at {customer}",
        "{customer}, second plant",
    ),
    kinds={
        "call": (
            "Asked about the offer",
            "Called back about delivery times",
            "Talked through the budget",
            "No answer, left a message",
        ),
        "email": (
            "Sent the data sheets",
            "Sent the revised offer",
            "Answered questions about calibration",
            "Sent references",
        ),
        "visit": ("Walked through the plant", "Visit with the process engineer", "Installed two test units"),
        "meeting": ("Presented the project plan", "Negotiated terms", "Kick-off with all departments"),
        "note": (
            "Competitor is in the race too",
            "Decision moves to the next board meeting",
            "New head of purchasing since May",
        ),
    },
    notes=(
        "{contact} wants the delivery in two parts. Price is not the problem, the date is.",
        "They run three shifts, so we can only install on the first Sunday of a month.",
        "{contact} asked for a reference from the same trade. I promised one by Friday.",
        "Good talk. The old units fail about once a week, and each failure costs them half a day.",
        "They compare us with two others. What counts is who services the devices on site.",
    ),
    next_steps=(
        "Send the final offer",
        "Arrange a test in the plant",
        "Meet the finance director",
        "Clarify the delivery date",
    ),
    lost=(
        "Too expensive",
        "Went with a competitor",
        "Project cancelled",
        "No budget this year",
        "No answer for months",
    ),
    held=("Budget frozen until next quarter", "New management, decision postponed"),
    released=("No interest for the time being", "Moved outside our region", "Nobody can be reached"),
    terminated=("The plant was closed", "Both sides agreed to end it early"),
    rejected=("The discount is too high for this volume", "The instalments end after the contract does"),
    payment_terms=("30 days net, by bank transfer", "Instalments as planned, by bank transfer"),
    tickets=(
        (
            "Sensor shows no value after the update",
            "Since last night's update unit 4 shows dashes instead of a value.",
            "firmware",
        ),
        ("How do we export the measurements?", "We need last month's values as a table for our auditor.", "question"),
        ("Delivery is incomplete", "Two of the twelve gauges are missing from the parcel.", "delivery"),
        ("Invoice has the wrong address", "Please use our new address from this month on.", "invoice"),
        ("Alarm goes off without reason", "The leak alarm went off three times although everything is dry.", "alarm"),
        ("Gateway loses the connection", "Every night around two the gateway is offline for some minutes.", "network"),
    ),
    asked_again=(
        "Any news on this?",
        "Thank you, that helped. One more question: does this hold for the older units too?",
        "It happened again today.",
    ),
    answers=(
        "Thank you for writing. I have sent you the steps; please tell me whether they help.",
        "I could reproduce it here. A corrected version comes with tomorrow's update.",
        "The missing parts left our warehouse today; you will find the tracking number in the e-mail.",
        "Could you please send me the serial number that is on the back of the device?",
    ),
    internal=(
        "Same fault as at two other customers, see the firmware list.",
        "Called the warehouse, they look for it.",
        "Important customer, please be quick.",
    ),
)
