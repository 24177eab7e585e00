"""Texts as people type them, about everything and nothing: what an index is fitted against and where its threshold comes from.

They are made from our own templates and word lists, always the same ones, so nothing has to be shipped or fetched. Two uses: a
teacher and the encoder both embed them, and a table's documents move to where the teacher has them among such texts
(:mod:`bitwren.compiler`); and most of them have nothing to do with any one corpus, so their best matches show how near strangers
come (:mod:`bitwren.calibrate`).
"""

from __future__ import annotations

import random
import re

_SLOT = re.compile(r"\{(\w+)\}")

_LISTS = {
    "device": (
        "lamp|washing machine|dishwasher|fridge|oven|microwave|kettle|coffee machine|vacuum cleaner|heat pump|boiler|fan|"
        "air conditioner|thermostat|doorbell|camera|printer|scanner|router|laptop|tablet|phone|television|speaker|"
        "headphones|keyboard|drill|lawn mower|sewing machine|treadmill|electric bike|scooter|drone|projector|"
        "game console|clock|radio|scale|charger|battery"
    ),
    "part": (
        "screen|button|cable|plug|hose|filter|lid|door|seal|switch|motor|pump|belt|fuse|sensor|remote control|handle|"
        "wheel|hinge|light|fan|battery pack|power supply|display|valve|drum|tray|nozzle|blade|antenna"
    ),
    "symptom": (
        "makes a grinding noise|does not turn on|keeps beeping|smells of burning|leaks water|gets very hot|vibrates|"
        "is slow|shows an error|stops after a minute|blinks red|will not charge|is stuck|loses its settings|"
        "switches itself off|trips the fuse|does not respond|freezes|flickers|drips|runs all night|has no signal"
    ),
    "room": "kitchen|bathroom|bedroom|living room|garage|cellar|garden|office|hall|balcony|attic|workshop",
    "food": (
        "rice|pasta|chicken|salmon|potatoes|lentils|eggs|bread|soup|pizza|pancakes|curry|salad|cheese|apple pie|porridge|"
        "beans|chocolate cake|tofu|beef stew|yoghurt|mushrooms|noodles|tomato sauce"
    ),
    "place": (
        "Paris|Tokyo|Lisbon|Berlin|Nairobi|Sydney|Toronto|Rome|Cairo|Mumbai|Chicago|Oslo|Vienna|Seoul|Lima|Dublin|Athens|"
        "Prague|the airport|the station|the city centre|the beach|the museum|the nearest hospital|the library|"
        "the stadium|the harbour"
    ),
    "country": (
        "France|Japan|Brazil|Canada|Egypt|India|Norway|Mexico|Kenya|Spain|Poland|Vietnam|Greece|Chile|Turkey|Italy|China|"
        "Ireland|Morocco|Thailand|Iceland|Peru|Germany|Australia"
    ),
    "person": (
        "my mother|my boss|my neighbour|the doctor|the landlord|my sister|a friend|the plumber|the teacher|my brother|"
        "the dentist|a colleague|the bank|my daughter|the mechanic|customer service|the driver|my grandfather"
    ),
    "time": (
        "today|tomorrow|tonight|on Monday|next week|at noon|in an hour|this weekend|on Friday evening|at seven|in March|"
        "next month|before lunch|after work|on Sunday morning|in ten minutes"
    ),
    "task": (
        "water the plants|call the bank|pay the rent|take out the bins|book a table|feed the cat|buy milk|"
        "send the report|pick up the parcel|renew my passport|clean the windows|charge the car|change the sheets|"
        "take my medicine|back up my files"
    ),
    "money": (
        "invoice|salary|tax return|credit card|bank account|loan|mortgage|refund|subscription|pension|insurance|bill|"
        "receipt|budget|transfer|direct debit|deposit|savings account|exchange rate|cash machine"
    ),
    "thing": (
        "shoes|a jacket|a bicycle|a tent|a backpack|glasses|a watch|a sofa|a mattress|a desk|books|a present|flowers|"
        "tickets|a ring|an umbrella|a suitcase|a guitar|paint|curtains|toys"
    ),
    "body": "back|knee|head|stomach|shoulder|throat|ear|tooth|foot|wrist|neck|eye|skin|chest",
    "illness": (
        "a cold|the flu|a fever|a rash|a migraine|hay fever|high blood pressure|insomnia|a sprained ankle|asthma|a cough|"
        "anaemia|food poisoning|back pain|a sunburn|dizziness"
    ),
    "animal": (
        "dog|cat|horse|rabbit|hamster|parrot|goldfish|hedgehog|bee|spider|cow|chicken|fox|owl|whale|bear|snake|tortoise|pigeon"
    ),
    "plant": (
        "tomato|rose|orchid|basil|cactus|apple tree|lawn|strawberry|fern|olive tree|sunflower|lavender|pumpkin|hedge|bamboo"
    ),
    "subject": (
        "photosynthesis|the French Revolution|gravity|inflation|volcanoes|the Roman Empire|plate tectonics|democracy|DNA|"
        "jazz|black holes|the water cycle|machine learning|electricity|the moon landing|vaccines|impressionism|"
        "prime numbers|tides|the industrial revolution|climate change|grammar|the nervous system|chess|Buddhism|"
        "lightning|erosion|magnets|the Silk Road"
    ),
    "role": (
        "president|king|queen|prime minister|inventor|painter|composer|author|explorer|scientist|captain|director|"
        "founder|architect"
    ),
    "work": (
        "bridge|cathedral|novel|symphony|film|telescope|railway|theory|vaccine|steam engine|opera|tower|law|treaty|canal|"
        "university"
    ),
    "quality": "largest|oldest|fastest|smallest|deepest|highest|longest|coldest|richest|most famous|heaviest|brightest|rarest",
    "nature": "river|mountain|lake|planet|desert|ocean|island|animal|tree|city|bird|volcano|star|forest|continent",
    "app": (
        "calendar|email|alarm|timer|shopping list|music player|map|weather app|contacts|photo album|notes|playlist|"
        "spreadsheet|browser|messenger|backup|antivirus|password manager"
    ),
    "account": (
        "account|password|email address|phone number|username|profile picture|delivery address|payment method|"
        "subscription|membership|order|booking|reservation|ticket|newsletter"
    ),
    "transport": "bus|train|flight|ferry|taxi|tram|underground|rental car|bicycle|night train|shuttle",
    "vehicle": "car|van|motorbike|truck|tractor|camper van|trailer|boat",
    "carpart": (
        "brakes|tyres|engine|windscreen wipers|gearbox|headlights|clutch|battery|exhaust|oil filter|steering wheel|spark plugs"
    ),
    "material": "wood|steel|glass|concrete|leather|cotton|plastic|marble|aluminium|wool|rubber|clay|paper|copper",
    "stain": "red wine|coffee|grease|ink|blood|grass|rust|wax|paint|chewing gum|mould|limescale",
    "sport": "football|tennis|swimming|running|yoga|basketball|cycling|climbing|cricket|golf|rowing|hockey|skiing|judo",
    "language": "Spanish|French|Japanese|German|Arabic|Portuguese|Italian|Russian|Turkish|Dutch|Swedish|Hindi",
    "phrase": (
        "good morning|thank you very much|where is the station|how much does it cost|I am lost|see you later|"
        "happy birthday|the bill please|I do not eat meat|what is your name|excuse me|I need help"
    ),
    "unit": "miles|kilometres|pounds|kilograms|inches|litres|gallons|degrees Celsius|ounces|cups|acres|feet",
    "number": "3|12|48|150|7.5|20|1000|99|64|250",
    "music": (
        "jazz|rock|classical music|the radio|my workout playlist|something calm|the latest album|folk songs|the news|an audiobook"
    ),
    "office": (
        "meeting|holiday request|timesheet|contract|presentation|interview|deadline|invoice|sick note|business trip|"
        "expense claim|training course|pay rise|job application|parental leave"
    ),
    "weather": "rain|snow|fog|a storm|frost|strong wind|sunshine|hail|a heatwave|thunder",
    "school": "homework|exam|essay|lecture|scholarship|textbook|school trip|semester|diploma|thesis|timetable|student card",
    "tech": (
        "the update|the firmware|a USB stick|the Wi-Fi|Bluetooth|the serial port|the settings menu|a driver|"
        "the memory card|the cloud backup|a factory reset|the login screen|the licence key|an API|the log file|"
        "the database"
    ),
    "tool": "hammer|screwdriver|soldering iron|ladder|saw|spanner|spirit level|glue gun|paint roller|multimeter|chisel|pliers",
    "event": (
        "wedding|birthday party|concert|conference|funeral|marathon|exhibition|festival|barbecue|reunion|school play|auction"
    ),
    "feeling": "tired|stressed|bored|lonely|nervous|angry|homesick|excited|sad|grateful",
    "law": (
        "a visa|a driving licence|a will|a divorce|a building permit|a trademark|a work permit|a birth certificate|"
        "a lease|custody"
    ),
}

_TEMPLATES = """
the {device} {symptom}
my {device} {symptom}, what should I do
why is it that the {device} {symptom}
the {part} of the {device} is broken
how do I replace the {part} of my {device}
where can I get a new {part} for the {device}
how do I clean the {device}
how do I reset the {device}
the {device} in the {room} {symptom}
turn off the {device} in the {room}
turn on the {device} {time}
is the {device} still under warranty
how much power does the {device} use
which {device} is best for a small {room}
can I repair the {part} myself
how do I connect the {device} to {tech}
{tech} does not work on my {device}
how do I install {tech}
I lost {tech}
what is {tech} good for
where do I find {tech} on the {device}
how do I cook {food}
how long do I boil {food}
can I freeze {food}
a recipe with {food} and {food}
how many calories are in {food}
is {food} healthy
what goes well with {food}
can my {animal} eat {food}
how do I get to {place}
how far is it to {place} by {transport}
when does the next {transport} to {place} leave
book a {transport} to {place} {time}
cancel my {transport} to {place}
what is the weather like in {place}
will there be {weather} {time}
will there be {weather} in {place}
what can I see in {place}
a cheap hotel in {place}
do I need {law} for {country}
how do I apply for {law}
what is the capital of {country}
what language do they speak in {country}
what is the population of {country}
when did {country} become independent
what do people eat in {country}
which currency is used in {country}
who was the first {role} of {country}
which {role} built the {work}
who wrote the {work} about {subject}
who is the most famous {role} of {country}
when was the {work} in {place} built
in which year was the first {work} made
what is the {quality} {nature} in the world
what is the {quality} {nature} in {country}
how old is the {quality} {nature}
what is {subject}
explain {subject} to a child
why is {subject} important
when did {subject} begin
the history of {subject}
give me an example of {subject}
a good book about {subject}
what causes {weather}
what causes {illness}
how do I treat {illness}
my {body} hurts
I have {illness}, should I see {person}
exercises for the {body}
is {illness} contagious
make an appointment with {person} {time}
remind me to {task} {time}
did I {task}
add {task} to my list
who can {task} for me
call {person}
send a message to {person}
tell {person} that I am late
what time is it in {place}
set an alarm for {time}
what is on my calendar {time}
move the {office} to {time}
how do I write a {office}
who approves my {office}
prepare the {office} for {person}
when is the {office} due
I forgot my {account}
how do I change my {account}
delete my {account}
where do I see my {account}
confirm my {account}
I want to cancel my {account}
I did not get a mail about my {account}
how do I share the {app} with {person}
open the {app}
the {app} {symptom}
sync the {app} with my {device}
what is my {money}
I have a question about my {money}
why was my {money} rejected
how do I get a {money}
when is my {money} due
explain the {money} to me
I lost my {money}
can I pay the {money} in cash
how much are {thing}
I want to buy {thing}
can I return {thing}
do you have {thing} in another colour
when will {thing} be delivered
{thing} for {person}
are {thing} on sale {time}
how do I care for a {plant}
why does my {plant} have yellow leaves
when do I plant a {plant}
is the {plant} poisonous for a {animal}
how often does a {plant} need water
my {animal} does not eat
how long does a {animal} live
how do I train a {animal}
what does a {animal} need in winter
a {animal} got into the {room}
where do {animal}s sleep
the {carpart} of my {vehicle} squeak
how often should I check the {carpart} of the {vehicle}
my {vehicle} does not start
how much is insurance for a {vehicle}
where can I park the {vehicle} in {place}
change the {carpart} before {time}
how do I remove {stain} from {material}
can you glue {material} to {material}
how is {material} made
is {material} waterproof
how do I paint {material}
which {tool} do I need for {material}
how do I use a {tool}
can I borrow your {tool} {time}
who won the {sport} game
the rules of {sport}
how do I get better at {sport}
where can I play {sport} in {place}
tickets for {sport} {time}
how do you say {phrase} in {language}
translate {phrase} into {language}
is {language} hard to learn
how many people speak {language}
how many {unit} are {number} {unit}
convert {number} {unit} to {unit}
what is {number} times {number}
what is {number} percent of {number}
play {music}
stop {music} in the {room}
turn up {music}
what song is this
who sings {music}
my {school} is due {time}
help me with my {school}
how do I get a {school}
how long is the {school}
what should I wear to a {event}
invite {person} to the {event}
where is the {event} {time}
what is a good gift for a {event}
how long does the {event} last
I feel {feeling}
what helps when I am {feeling}
{person} is {feeling} because of the {event}
tell me a joke about a {animal}
what is your favourite {food}
are you a robot
thank you, that was helpful
good night
repeat that please
speak louder
never mind
what can you do
who made you
flip a coin
roll two dice
is there a {place} near {place}
water came into the {room}
there is no electricity in the {room}
the {room} is too cold
who has the key to the {room}
what is the difference between {material} and {material}
the {work} was designed by a {role} from {country}
the {nature} lies in the north of {country}
{subject} changed life in {country}
in {country} people prefer {food} to {food}
a {animal} can be heavier than a {vehicle}
the {role} never saw the {work} finished
the {transport} was late because of {weather}
please press the {part} twice until it clicks
hold the {part} for {number} seconds
the warning light stays on after the {part} was changed
do not use the {device} near water
the {device} needs {number} {unit} of space
"""


def texts(count: int = 6000, seed: int = 1) -> list[str]:
    """Distinct texts, always the same for the same arguments; every template about equally often.

    :param count: at most some tens of thousands, for there are no more different ones of every template.
    """
    draw = random.Random(seed)
    templates = [line for line in _TEMPLATES.splitlines() if line]
    lists = {name: words.split("|") for name, words in _LISTS.items()}
    found: dict[str, None] = {}
    tries = 0
    while len(found) < count and tries < 20 * count:
        found[_fill(templates[tries % len(templates)], lists, draw)] = None
        tries += 1
    return list(found)


def _fill(template: str, lists: dict[str, list[str]], draw: random.Random) -> str:
    return _SLOT.sub(lambda match: draw.choice(lists[match.group(1)]), template)
