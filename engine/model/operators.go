package model

import (
	"fmt"
	"slices"
	"strings"
)

// checkOperator allows the operators of ONNX itself, but for those below, and what ONNX Runtime adds for quantised and
// fused arithmetic. Everything else is a custom operator: it would need a library of its own, and RAVE loads none.
func checkOperator(op, domain string) error {
	switch domain {
	case "", "ai.onnx":
		return checkStandard(op)
	case "com.microsoft":
		if slices.Contains(fused(), op) {
			return nil
		}
		return fmt.Errorf("%s of the domain com.microsoft is not one that RAVE allows; export with standard operators (ai.onnx)", op)
	default:
		return fmt.Errorf("%s of the domain %q is a custom operator, and RAVE loads none; export with standard operators (ai.onnx)",
			op, domain)
	}
}

// checkStandard refuses what pictures have no need of: loops, since one may never end; sequences, optional values, texts
// and decoders of files, since each is a way into code that nobody uses on pictures.
func checkStandard(op string) error {
	switch op {
	case "Loop", "Scan":
		return fmt.Errorf("loops (%s) are not allowed: one may never end; export the model unrolled", op)
	case "ConcatFromSequence", "SplitToSequence", "TfIdfVectorizer", "RegexFullMatch", "ImageDecoder":
		return fmt.Errorf("%s is not allowed: RAVE feeds pictures, no sequences, texts or files", op)
	}
	for _, prefix := range []string{"Sequence", "Optional", "String"} {
		if strings.HasPrefix(op, prefix) {
			return fmt.Errorf("%s is not allowed: RAVE feeds pictures, no sequences, texts or files", op)
		}
	}
	return nil
}

// fused lists what ONNX Runtime's quantiser and optimiser write (its docs/ContribOperators.md).
func fused() []string {
	return []string{
		"BiasGelu", "Conv", "DequantizeLinear", "DynamicQuantizeMatMul", "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul",
		"FusedMatMulActivation", "Gelu", "GridSample", "GroupNorm", "MatMulInteger16", "MatMulIntegerToFloat", "MatMulNBits",
		"NhwcConv", "NhwcFusedConv", "NhwcMaxPool", "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearConv",
		"QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearReduceMean", "QLinearSigmoid", "QLinearSoftmax",
		"QLinearWhere", "QuantizeLinear", "QuickGelu", "SkipGroupNorm", "SkipLayerNormalization",
		"SkipSimplifiedLayerNormalization",
	}
}
