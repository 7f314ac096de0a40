"""The messages and enums of Gemini's requests, as tables: field -> type.

A type is a scalar (`string`, `int`, `long`, `float`, `bool`, `bytes`, `signature`, `struct`, `any`), an enum or a
message; `[]` before it makes a list, `{}` a map. Source: the official Python client's types (3.4) and recorded
requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ENUMS: Final[Mapping[str, frozenset[str]]] = {
    "FunctionCallingConfig.Mode": frozenset({"MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"}),
    "GenerationConfig.Modality": frozenset({"MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO", "VIDEO"}),
    "GenerationConfig.MediaResolution": frozenset(
        f"MEDIA_RESOLUTION_{level}" for level in ("UNSPECIFIED", "LOW", "MEDIUM", "HIGH", "ULTRA_HIGH")
    ),
    "ThinkingConfig.ThinkingLevel": frozenset(
        {"THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"}
    ),
    "HarmCategory": frozenset(
        f"HARM_CATEGORY_{name}"
        for name in (
            *("UNSPECIFIED", "HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY"),
            *("JAILBREAK", "IMAGE_HATE", "IMAGE_DANGEROUS_CONTENT", "IMAGE_HARASSMENT", "IMAGE_SEXUALLY_EXPLICIT"),
        )
    ),
    "SafetySetting.HarmBlockThreshold": frozenset(
        {"HARM_BLOCK_THRESHOLD_UNSPECIFIED", "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH"}
        | {"BLOCK_NONE", "OFF"}
    ),
    "SafetySetting.HarmBlockMethod": frozenset({"HARM_BLOCK_METHOD_UNSPECIFIED", "SEVERITY", "PROBABILITY"}),
    "Type": frozenset({"TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}),
    "TaskType": frozenset(
        {"TASK_TYPE_UNSPECIFIED", "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION"}
        | {"CLUSTERING", "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY"}
    ),
}

_GENERATE: Final[Mapping[str, str]] = {
    "model": "string",
    "contents": "[]Content",
    "systemInstruction": "Content",
    "generationConfig": "GenerationConfig",
    "tools": "[]Tool",
    "toolConfig": "ToolConfig",
    "safetySettings": "[]SafetySetting",
    "cachedContent": "string",
    "serviceTier": "string",
    "store": "bool",
}

MESSAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "GenerateContentRequest": _GENERATE,
    "CountTokensRequest": {
        "model": "string",
        "contents": "[]Content",
        "generateContentRequest": "GenerateContentRequest",
    },
    "VertexCountTokensRequest": {**_GENERATE, "instances": "[]any"},
    "EmbedContentRequest": {
        "model": "string",
        "content": "Content",
        "taskType": "TaskType",
        "title": "string",
        "outputDimensionality": "int",
        "autoTruncate": "bool",
        "embedContentConfig": "struct",
    },
    "BatchEmbedContentsRequest": {"model": "string", "requests": "[]EmbedContentRequest"},
    "Content": {"role": "string", "parts": "[]Part"},
    "Part": {
        "text": "string",
        "inlineData": "Blob",
        "fileData": "FileData",
        "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse",
        "executableCode": "ExecutableCode",
        "codeExecutionResult": "CodeExecutionResult",
        "toolCall": "struct",
        "toolResponse": "struct",
        "thought": "bool",
        "thoughtSignature": "signature",
        "videoMetadata": "struct",
        "mediaResolution": "any",
        "partMetadata": "struct",
    },
    "Blob": {"mimeType": "string", "data": "bytes", "displayName": "string"},
    "FileData": {"mimeType": "string", "fileUri": "string", "displayName": "string"},
    "FunctionCall": {
        "id": "string",
        "name": "string",
        "args": "struct",
        "partialArgs": "[]any",
        "willContinue": "bool",
    },
    "FunctionResponse": {
        "id": "string",
        "name": "string",
        "response": "struct",
        "parts": "[]Part",
        "willContinue": "bool",
        "scheduling": "string",
    },
    "ExecutableCode": {"id": "string", "language": "string", "code": "string"},
    "CodeExecutionResult": {"id": "string", "outcome": "string", "output": "string"},
    "GenerationConfig": {
        "temperature": "float",
        "topP": "float",
        "topK": "float",
        "candidateCount": "int",
        "maxOutputTokens": "int",
        "stopSequences": "[]string",
        "responseMimeType": "string",
        "responseSchema": "Schema",
        "responseJsonSchema": "any",
        "responseFormat": "any",
        "responseModalities": "[]GenerationConfig.Modality",
        "thinkingConfig": "ThinkingConfig",
        "seed": "int",
        "logprobs": "int",
        "responseLogprobs": "bool",
        "presencePenalty": "float",
        "frequencyPenalty": "float",
        "mediaResolution": "GenerationConfig.MediaResolution",
        "imageConfig": "struct",
        "speechConfig": "struct",
        "audioTimestamp": "bool",
        "enableEnhancedCivicAnswers": "bool",
        "enableAffectiveDialog": "bool",
        "routingConfig": "struct",
        "modelSelectionConfig": "struct",
    },
    "ThinkingConfig": {
        "includeThoughts": "bool",
        "thinkingBudget": "int",
        "thinkingLevel": "ThinkingConfig.ThinkingLevel",
    },
    "Tool": {
        "functionDeclarations": "[]FunctionDeclaration",
        "googleSearch": "struct",
        "googleSearchRetrieval": "struct",
        "codeExecution": "struct",
        "urlContext": "struct",
        "fileSearch": "struct",
        "googleMaps": "struct",
        "computerUse": "struct",
        "enterpriseWebSearch": "struct",
        "retrieval": "struct",
        "mcpServers": "[]struct",
    },
    "FunctionDeclaration": {
        "name": "string",
        "description": "string",
        "parameters": "Schema",
        "parametersJsonSchema": "any",
        "response": "Schema",
        "responseJsonSchema": "any",
        "behavior": "string",
    },
    "ToolConfig": {
        "functionCallingConfig": "FunctionCallingConfig",
        "retrievalConfig": "struct",
        "includeServerSideToolInvocations": "bool",
    },
    "FunctionCallingConfig": {
        "mode": "FunctionCallingConfig.Mode",
        "allowedFunctionNames": "[]string",
        "streamFunctionCallArguments": "bool",
    },
    "SafetySetting": {
        "category": "HarmCategory",
        "threshold": "SafetySetting.HarmBlockThreshold",
        "method": "SafetySetting.HarmBlockMethod",
    },
    "Schema": {
        "type": "Type",
        "format": "string",
        "title": "string",
        "description": "string",
        "nullable": "bool",
        "enum": "[]any",
        "items": "Schema",
        "maxItems": "long",
        "minItems": "long",
        "properties": "{}Schema",
        "required": "[]string",
        "minProperties": "long",
        "maxProperties": "long",
        "minimum": "float",
        "maximum": "float",
        "minLength": "long",
        "maxLength": "long",
        "pattern": "string",
        "example": "any",
        "anyOf": "[]Schema",
        "propertyOrdering": "[]string",
        "default": "any",
        "additionalProperties": "any",
    },
}
