"""Invented names, companies and titles for simulated people, in several scripts.

The family names and companies are made up for this file. A name in another script comes with its Latin spelling for
emails.
"""

GIVEN = (
    *(
        "Ada",
        "Alma",
        "Anouk",
        "Bela",
        "Ben",
        "Bruno",
        "Carla",
        "Cyril",
        "Dana",
        "Davi",
        "Edda",
        "Elio",
        "Emre",
        "Fenna",
    ),
    *(
        "Finn",
        "Greta",
        "Hanne",
        "Hugo",
        "Ida",
        "Inès",
        "Iris",
        "Jonas",
        "Juno",
        "Kaia",
        "Karel",
        "Leif",
        "Lena",
        "Livia",
    ),
    *("Mats", "Mila", "Nadia", "Nils", "Noor", "Odile", "Orla", "Pavel", "Petra", "Quinn", "Rafa", "Rosa", "Ruben"),
    *("Sanna", "Silas", "Tessa", "Tomas", "Ulla", "Vera", "Willem", "Yara", "Zoé"),
)
FAMILY = (
    *("Aldermoor", "Ashvale", "Bergsletten", "Brandhaug", "Brookmire", "Castelverde", "Corvenaar", "Dahlenkamp"),
    *("Delacourbe", "Ekholmsund", "Elmsworthy", "Fennimoor", "Fjellvang", "Garrowby", "Grauwinkel", "Hallenstrand"),
    *("Hawkmere", "Ilvesaho", "Jarrowfield", "Kestrelman", "Kivilahde", "Lindqvarn", "Lowendale", "Marchbrook"),
    *("Montelupo", "Müllerbrecht", "Northgarth", "Ødegrove", "Okonvale", "Pellerinaz", "Quillfeather", "Ravenhoek"),
    *("Rosenquell", "Sandhaven", "Silverthwaite", "Szalontay", "Tannenried", "Thornquist", "Umberfield", "Vanderlund"),
    *("Veltmaier", "Wexcombe", "Whinfell", "Winterbourg", "Yarrowdale", "Zellenberg"),
)
LATIN = str.maketrans({"è": "e", "é": "e", "ü": "u", "ø": "o", "á": "a"})
"""The spelling in emails of the letters above that are not plain Latin."""

OTHER_SCRIPTS = (
    ("さくら", "高森野", "sakura.takamorino"),
    ("健人", "青葉原", "kento.aobahara"),
    ("陽菜", "水沢口", "hina.mizusawaguchi"),
    ("蓮", "白鳥坂", "ren.shiratorizaka"),
    ("美月", "霧島田", "mizuki.kirishimada"),
    ("大翔", "星野台", "hiroto.hoshinodai"),
    ("ليلى", "الراويني", "layla.alrawini"),
    ("سامر", "النهراوي", "samer.alnahrawi"),
    ("هدى", "الزيتونجي", "huda.alzaytunji"),
    ("كريم", "البستانلي", "karim.albustanli"),
    ("نور", "الصفصافي", "nour.alsafsafi"),
    ("Ελένη", "Θαλασσάκου", "eleni.thalassakou"),
    ("Νίκος", "Πετρόλιθος", "nikos.petrolithos"),
    ("Ζωή", "Ανεμώνδου", "zoi.anemondou"),
    ("Άρης", "Κυματίδης", "aris.kymatidis"),
    ("Ольга", "Северограй", "olga.severograi"),
    ("Максим", "Ручьёвский", "maksim.ruchyovsky"),
    ("Дарья", "Звёздина", "darya.zvyozdina"),
    ("Олексій", "Вітролюб", "oleksii.vitroliub"),
    ("Мілена", "Ясногай", "milena.yasnohai"),
    ("आरव", "देवगिरकर", "aarav.devgirkar"),
    ("मीरा", "सागरवाल", "meera.sagarwal"),
    ("कबीर", "नीलवर्धन", "kabir.nilvardhan"),
    ("अनन्या", "चन्द्रपाटिल", "ananya.chandrapatil"),
)

COMPANIES = (
    *("Halvorsund Dynamics", "Brightmere Robotics", "Castelverde Foods", "Dunefield Analytics", "Elmquist Packaging"),
    *("Fernhollow Energy", "Glasbruck Optics", "Harrowgate Textiles", "Iskarwind Turbines", "Junovale Medical"),
    *(
        "Kestrel & Pine Logistics",
        "Lumenhaugh Lighting",
        "Marrowfield Motors",
        "Nordkiste Storage",
        "Oakenspan Bridges",
    ),
    *("Pellucid Water Works", "Quarrymead Stone", "Ravenhoek Shipping", "Silverthwaite Paper", "Tannenried Timber"),
    *("Umbervale Paints", "Vantmoor Sensors", "Whinfell Instruments", "Yarrowdale Seeds", "Zellenberg Cooling"),
    *("青葉原精機", "Σύννεφον Λογισμική", "Северограй Приборы"),
)
TITLES = (
    ("Head of Automation", "operations", "head"),
    ("Plant Manager", "operations", "manager"),
    ("VP Partnerships", "business development", "vp"),
    ("Buyer", "procurement", "individual"),
    ("Director of Procurement", "procurement", "director"),
    ("Chief Technology Officer", "engineering", "c-level"),
    ("Robotics Engineer", "engineering", "individual"),
    ("Marketing Manager", "marketing", "manager"),
    ("Head of Sales DACH", "sales", "head"),
    ("Key Account Manager", "sales", "manager"),
    ("Managing Director", "management", "c-level"),
    ("Innovation Lead", "research", "lead"),
)

PHONE_RANGES = (
    ("+1 202 555 01{:02d}", 100),
    ("+1 (303) 555-01{:02d}", 100),
    ("+1 415-555-01{:02d}", 100),
    ("+1 617 555 01{:02d}", 100),
    ("+44 20 7946 0{:03d}", 1000),
    ("+49 30 23125 {:03d}", 1000),
    ("+33 1 99 00 12 {:02d}", 100),
    ("+46 8 465 004 {:02d}", 100),
)
"""Numbers that national regulators reserve for fiction, and the count of each form."""
