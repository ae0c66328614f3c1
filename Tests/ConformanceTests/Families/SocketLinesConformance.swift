import BatchEngine

/// The lines that are made of a byte stream, whatever pieces it comes in.
enum SocketLinesConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("socket_lines") { recorded in
            guard recorded.pipeline == "socketTextStream.lines" else {
                throw Pipelines.Unknown(description: "no pipeline is known as \(recorded.pipeline)")
            }
            let bytes = try bytes(hex: try recorded.body.takeString("bytesHex"))
            let expected = try recorded.body.takeArray("lines")
                .map { try ElementForm.string.read($0) }
            return (1...max(1, bytes.count)).compactMap { size in
                let ours = lines(of: bytes, inPiecesOf: size)
                return ours == expected ? nil : "\(ours), not \(expected), in pieces of \(size)"
            }
        }
    }

    private static func lines(of bytes: [UInt8], inPiecesOf size: Int) -> [String] {
        var splitter = LineSplitter()
        var lines: [String] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            splitter.append(Array(bytes[start..<min(start + size, bytes.count)]))
            lines += splitter.cut()?.lines ?? []
        }
        return lines + (splitter.finish()?.lines ?? [])
    }

    private static func bytes(hex: String) throws -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        guard digits.count == hex.count, digits.count.isMultiple(of: 2) else {
            throw PieceStep.Malformed(description: "not hexadecimal: \(hex)")
        }
        return stride(from: 0, to: digits.count, by: 2).map {
            UInt8(digits[$0] * 16 + digits[$0 + 1])
        }
    }
}
