#!/usr/bin/env python3
"""Lets vendors' own SDKs judge our calls: what we ask of the vendors, what we answer, and the callbacks of the fakes.

Needs PyPI `twilio`, `telnyx` (with `PyNaCl`), `vonage`, `plivo` and `bandwidth-sdk`. Reads JSON from standard input: for each vendor
{"requests": [{"method", "path", "body"}], "documents": [...], "callbacks": [{"url", "headers", "body"}], "now": seconds, ...}.
Exits 0 when everything is as the SDKs would have written it, 1 at the first mismatch, which it prints.
"""

import json
import re
import sys
import typing
import xml.etree.ElementTree as ET
from unittest import mock
from urllib.parse import parse_qsl, unquote


def check(what, good):
    if not good:
        print(f"mismatch: {what}")
        sys.exit(1)


def shape(element):
    """An element without what does not matter: order of attributes, space around texts."""
    return (element.tag, sorted(element.attrib.items()), (element.text or "").strip(), [shape(e) for e in element])


def snake(name):
    return re.sub(r"(?<!^)([A-Z])", lambda m: "_" + m.group(1).lower(), name).lower()


def twilio_judges(facts):
    import inspect
    from twilio.twiml.voice_response import VoiceResponse

    def add(parent, element):
        verb = getattr(parent, element.tag.lower())
        arguments = {snake(name): value for name, value in element.attrib.items()}
        unknown = set(arguments) - set(inspect.signature(verb).parameters)
        check(f"the SDK knows no {unknown} of {element.tag}", not unknown)
        text = (element.text or "").strip()
        made = verb(text, **arguments) if text else verb(**arguments)
        for child in element:
            add(made, child)
        seen.add(element.tag)

    seen = set()
    for document in facts["documents"]:
        ours = ET.fromstring(document)
        made = VoiceResponse()
        for element in ours:
            add(made, element)
        theirs = ET.fromstring(str(made))
        check(f"the SDK would have written {made} and not {document}", shape(theirs) == shape(ours))
    wanted = {"Say", "Connect", "Stream", "Redirect", "Gather", "Reject", "Hangup"}
    check(f"not all verbs were seen: {seen}", seen == wanted)


def telnyx_judges(facts):
    import httpx
    import telnyx
    from telnyx.types import call_dial_params
    from telnyx.types.calls import (
        action_answer_params, action_gather_using_speak_params, action_hangup_params, action_reject_params,
        action_speak_params, action_start_streaming_params,
    )

    sent = []

    def answer(request):
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={"data": {"result": "ok", "call_control_id": "v3:x"}})

    client = telnyx.Telnyx(
        api_key="KEY", base_url="https://x.example.org/v2", http_client=httpx.Client(transport=httpx.MockTransport(answer))
    )
    actions = client.calls.actions
    commands = {
        "answer": (actions.answer, action_answer_params.ActionAnswerParams),
        "reject": (actions.reject, action_reject_params.ActionRejectParams),
        "hangup": (actions.hangup, action_hangup_params.ActionHangupParams),
        "speak": (actions.speak, action_speak_params.ActionSpeakParams),
        "gather_using_speak": (
            actions.gather_using_speak, action_gather_using_speak_params.ActionGatherUsingSpeakParams),
        "streaming_start": (actions.start_streaming, action_start_streaming_params.ActionStartStreamingParams),
    }

    def words(params, body):
        """Words that must be one of a list are one of it."""
        for name, value in body.items():
            said = params.__annotations__.get(name)
            said = said.__forward_arg__ if isinstance(said, typing.ForwardRef) else said
            if isinstance(said, str):
                try:
                    said = eval(said, vars(sys.modules[params.__module__]))
                except NameError:
                    continue
            if typing.get_origin(said) is typing.Required or "Required" in str(typing.get_origin(said)):
                said = typing.get_args(said)[0]
            if typing.get_origin(said) is typing.Literal:
                check(f"{name}={value} of {params.__name__}", value in typing.get_args(said))

    seen = set()
    for request in facts["requests"]:
        body, path = request["body"], request["path"]
        if path == "/v2/calls":
            arguments = {("from_" if name == "from" else name): value for name, value in body.items()}
            client.calls.dial(**arguments)
            words(call_dial_params.CallDialParams, arguments)
            seen.add("dial")
        elif "/actions/" in path:
            call, action = path.removeprefix("/v2/calls/").split("/actions/")
            ask, params = commands[action]
            ask(unquote(call), **body)
            words(params, body)
            seen.add(action)
        else:
            continue
        check(f"the SDK would have written {sent[-1]} and not {body}", sent[-1] == body)
    check(f"not all commands were seen: {seen}", seen == {"dial", *commands})
    with mock.patch("time.time", return_value=float(facts["now"])):
        for callback in facts["callbacks"]:
            event = client.webhooks.unwrap(callback["body"], headers=dict(callback["headers"]), key=facts["public_key"])
            said = json.loads(callback["body"])["data"]
            check(f"the event {said['event_type']}", event.data.event_type == said["event_type"])
            check("its call", event.data.payload.call_control_id == said["payload"]["call_control_id"])


def vonage_judges(facts):
    import jwt
    from vonage_jwt.verify_jwt import verify_signature
    from vonage_voice.models import ncco
    from vonage_voice.models.connect_endpoints import WebsocketEndpoint
    from vonage_voice.models.requests import CreateCallRequest

    models = {"talk": ncco.Talk, "input": ncco.Input, "notify": ncco.Notify, "connect": ncco.Connect, "wait": ncco.Wait}
    seen = set()
    for document in facts["documents"]:
        for action in json.loads(document):
            fields = dict(action)
            if action["action"] == "connect":
                endpoint = {("contentType" if k == "content-type" else k): v for k, v in action["endpoint"][0].items()}
                fields["endpoint"] = [WebsocketEndpoint(**endpoint)]
            model = models[action["action"]](**fields)
            written = json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
            check(f"the SDK would have written {written} and not {action}", written == action)
            seen.add(action["action"])
    check(f"not all actions were seen: {seen}", seen == {"talk", "input", "notify", "connect"})
    made = ended = 0
    for request in facts["requests"]:
        body = request["body"]
        if request["path"] == "/v1/calls":
            arguments = {("from_" if name == "from" else name): value for name, value in body.items()}
            written = json.loads(CreateCallRequest(**arguments).model_dump_json(by_alias=True, exclude_none=True))
            check(f"the SDK would have written {written} and not {body}", written == body)
            made += 1
        elif request["path"].startswith("/v1/calls/"):
            check("a call is ended as the SDK does", (request["method"], body) == ("PUT", {"action": "hangup"}))
            ended += 1
    check("calls were made and ended", made and ended)
    for callback in facts["callbacks"]:
        token = dict(callback["headers"])["authorization"].removeprefix("Bearer ")
        check("the SDK verifies the callback", verify_signature(token, facts["secret"]))
        check("its algorithm", jwt.get_unverified_header(token)["alg"] == "HS256")


def plivo_judges(facts):
    import plivo
    from plivo import plivoxml
    from plivo.utils.signature_v3 import validate_v3_signature

    def build(element):
        arguments = {snake(name) if element.tag == "GetInput" else name: value for name, value in element.attrib.items()}
        arguments = {name: value == "true" if value in ("true", "false") else value for name, value in arguments.items()}
        arguments = {name: int(value) if name == "streamTimeout" else value for name, value in arguments.items()}
        kind = getattr(plivoxml, f"{element.tag}Element")
        made = kind(element.text, **arguments) if (element.text or "").strip() else kind(**arguments)
        for child in element:
            made.add(build(child))
        return made

    seen = set()
    for document in facts["documents"]:
        ours = ET.fromstring(document)
        made = plivoxml.ResponseElement()
        for element in ours:
            made.add(build(element))
            seen.add(element.tag)
        theirs = ET.fromstring(made.to_string())
        check(f"the SDK would have written {made.to_string()} and not {document}", shape(theirs) == shape(ours))
    check(f"not all elements were seen: {seen}", seen == {"Speak", "Stream", "Redirect", "GetInput", "Hangup"})
    for callback in facts["callbacks"]:
        headers, fields = dict(callback["headers"]), dict(parse_qsl(callback["body"], keep_blank_values=True))
        good = validate_v3_signature(
            "POST", callback["url"], headers["x-plivo-signature-v3-nonce"], facts["secret"],
            headers["x-plivo-signature-v3"], fields,
        )
        check("the SDK verifies the callback", good)
    client = plivo.RestClient("MATESTTESTTESTTESTTE", "x")
    ours = [r for r in facts["requests"] if r["path"].endswith("/Call/")]
    check("a call was made", ours)
    for request in ours:
        arguments = {{"from": "from_", "to": "to_"}.get(name, name): value for name, value in request["body"].items()}
        with mock.patch.object(client, "request") as asked:
            client.calls.create(**arguments)
            # The SDK adds its own defaults.
            written = asked.call_args.args[2]
            missing = {n: v for n, v in request["body"].items() if written.get(n) != v}
            check(f"the SDK would not have written {missing} ({written})", not missing)
    check("a call was ended", any(r["method"] == "DELETE" for r in facts["requests"]))


def bandwidth_judges(facts):
    import bandwidth
    from bandwidth.models import bxml

    def build(element):
        arguments = {snake(name): value for name, value in element.attrib.items()}
        if element.tag == "SpeakSentence":
            return bxml.SpeakSentence(element.text, **arguments)
        if element.tag == "Gather":
            return bxml.Gather([build(child) for child in element], **arguments)
        if element.tag == "StartStream":
            return bxml.StartStream(stream_params=[build(child) for child in element], **arguments)
        return getattr(bxml, element.tag)(**arguments)

    seen = set()
    for document in facts["documents"]:
        ours = ET.fromstring(document)
        made = bxml.Response([build(element) for element in ours])
        seen.update(element.tag for element in ours)
        theirs = ET.fromstring(made.to_bxml())
        check(f"the SDK would have written {made.to_bxml()} and not {document}", shape(theirs) == shape(ours))
    wanted = {"SpeakSentence", "StartGather", "StartStream", "StopStream", "StopGather", "Redirect", "Gather", "Hangup"}
    check(f"not all verbs were seen: {seen}", seen == wanted)
    made = ended = 0
    for request in facts["requests"]:
        body = request["body"]
        if request["path"].endswith("/calls"):
            model = bandwidth.CreateCall.from_dict(body)
            check(f"fields that the SDK does not know: {model.additional_properties}", not model.additional_properties)
            written = {name: value for name, value in json.loads(model.to_json()).items() if name in body}
            check(f"the SDK would have written {written} and not {body}", written == body)
            made += 1
        elif "/calls/" in request["path"]:
            model = bandwidth.UpdateCall.from_dict(body)
            check("a call is ended as the SDK does", model.state == bandwidth.CallStateEnum.COMPLETED)
            ended += 1
    check("calls were made and ended", made and ended)
    models = {
        "initiate": bandwidth.InitiateCallback, "answer": bandwidth.AnswerCallback,
        "gather": bandwidth.GatherCallback, "redirect": bandwidth.RedirectCallback,
        "dtmf": bandwidth.DtmfCallback, "disconnect": bandwidth.DisconnectCallback,
    }
    for callback in facts["callbacks"]:
        event = json.loads(callback["body"])
        model = models[event["eventType"]].from_dict(event)
        check(f"{event['eventType']} has {model.additional_properties}", not model.additional_properties)


def main():
    facts = json.load(sys.stdin)
    {"twilio": twilio_judges, "telnyx": telnyx_judges, "vonage": vonage_judges, "plivo": plivo_judges, "bandwidth": bandwidth_judges}[
        facts["vendor"]](facts)
    print(f"{facts['vendor']}: the SDK is content")


main()
