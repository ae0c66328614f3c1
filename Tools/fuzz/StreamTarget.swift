import BatchEngine
import ReceiverRuntime

/// Byte streams of peers, which come in pieces of any length.
enum StreamTarget {
    /// Frames are the same however the stream is cut.
    static func feedFrames(_ bytes: [UInt8]) -> Bool {
        let whole = frames(bytes, pieceLength: max(1, bytes.count))
        let pieces = frames(bytes, pieceLength: 1 + Int(bytes.first ?? 0) % 7)
        precondition(whole == pieces, "\(whole) in one piece, \(pieces) in several")
        return !whole.isEmpty && whole.last != refusal
    }

    /// Stands for a stream that was refused.
    private static let refusal: [UInt8] = [0xFF, 0xFF]

    private static func frames(_ bytes: [UInt8], pieceLength: Int) -> [[UInt8]] {
        var splitter = FrameSplitter(maxFrameBytes: 1000)
        var (frames, isUnderWay): ([[UInt8]], Bool) = ([], false)
        for start in stride(from: 0, to: bytes.count, by: pieceLength) {
            splitter.append(Array(bytes[start..<min(start + pieceLength, bytes.count)]))
            do {
                while let part = try splitter.next() {
                    if !isUnderWay { frames.append([]) }
                    frames[frames.count - 1] += part.bytes
                    splitter.consume(part.bytes.count)
                    isUnderWay = !part.isWhole
                    if isUnderWay { break }
                }
            } catch {
                return frames + [refusal]
            }
        }
        return frames
    }

    /// Lines are the same however the stream is cut; the first byte chooses limit and policy.
    static func feedLines(_ bytes: [UInt8]) -> Bool {
        guard let choice = bytes.first else { return false }
        let rest = Array(bytes.dropFirst())
        let limit = 1 + Int(choice % 16)
        let policy: LineSplitter.LongLinePolicy = choice < 128 ? .truncate : .refuse
        let whole = lines(rest, limit, policy, pieceLength: max(1, rest.count))
        let pieces = lines(rest, limit, policy, pieceLength: 1 + Int(choice) % 5)
        precondition(whole == pieces, "\(whole) in one piece, \(pieces) in several")
        return !whole.isEmpty
    }

    private static func lines(
        _ bytes: [UInt8], _ limit: Int, _ policy: LineSplitter.LongLinePolicy, pieceLength: Int
    ) -> [String] {
        var splitter = LineSplitter(maxLineBytes: limit, longLines: policy)
        var lines: [String] = []
        for start in stride(from: 0, to: bytes.count, by: pieceLength) {
            splitter.append(Array(bytes[start..<min(start + pieceLength, bytes.count)]))
            if start % 3 == 0, let block = splitter.cut() { lines += block.lines }
        }
        if let block = splitter.finish() { lines += block.lines }
        return lines
    }
}
