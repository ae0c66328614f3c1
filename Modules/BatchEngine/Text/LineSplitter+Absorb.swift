extension LineSplitter {
    /// Finds the lines in `count` bytes that were just written behind the ones already there.
    mutating func absorb(_ count: Int) {
        guard count > 0 else { return }
        let settled = lineStart
        let scan = TextScan(bytes(used, used + count))
        let mayBeNonASCII = tailMayBeNonASCII || scan.hasNonASCII
        // Where nothing has to be changed, the bytes stay as they are.
        if scan.hasCarriageReturn || isAfterCarriageReturn || isDiscarding
            || used + count - lineStart > maxLineBytes
        {
            normalize(count)
        } else {
            used += count
            if scan.lineFeedCount > 0 {
                lineCount += scan.lineFeedCount
                lineStart = lineFeedEnd(before: used)
            }
        }
        tailMayBeNonASCII = mayBeNonASCII
        if lineStart > settled, mayBeNonASCII {
            settle(from: settled)
            tailMayBeNonASCII = scan.hasNonASCII
        }
    }

    /// The index behind the last `\n` before `end`, which there is.
    private func lineFeedEnd(before end: Int) -> Int {
        var index = end
        while base.load(fromByteOffset: index - 1, as: UInt8.self) != TextScan.lineFeed {
            index -= 1
        }
        return index
    }

    /// Gives the new bytes one `\n` per line end and shortens long lines, moving bytes down in place.
    private mutating func normalize(_ count: Int) {
        let end = used + count
        var source = used
        var feed = -1
        var carriageReturn = -1
        while source < end {
            if isAfterCarriageReturn {
                isAfterCarriageReturn = false
                if byte(source) == TextScan.lineFeed {
                    source += 1
                    continue
                }
            }
            // Each of the two is looked for again only when it has been passed: linear in all.
            if feed < source { feed = index(of: TextScan.lineFeed, source, end) }
            if carriageReturn < source {
                carriageReturn = index(of: TextScan.carriageReturn, source, end)
            }
            let stop = min(feed, carriageReturn)
            extendLine(from: source, to: stop)
            source = stop
            guard stop < end else { break }
            isAfterCarriageReturn = stop == carriageReturn
            if isDiscarding && longLines == .refuse {
                isDiscarding = false
            } else {
                endLine()
            }
            source += 1
        }
    }

    /// Adds bytes that hold no line end to the incomplete line, as far as they are kept.
    private mutating func extendLine(from source: Int, to stop: Int) {
        let length = used - lineStart + (stop - source)
        if isDiscarding {
            counters.droppedBytes += stop - source
        } else if length <= maxLineBytes {
            memoryMove(from: source, to: used, count: stop - source)
            used += stop - source
        } else {
            isDiscarding = true
            var kept = 0
            switch longLines {
            case .truncate:
                counters.truncatedLines += 1
                let room = maxLineBytes - (used - lineStart)
                let next = byte(source + room)
                memoryMove(from: source, to: used, count: room)
                kept = TextScan.boundary(bytes(lineStart, lineStart + maxLineBytes), next: next)
            case .refuse:
                counters.refusedLines += 1
            }
            counters.droppedBytes += length - kept
            used = lineStart + kept
        }
    }

    /// Ends the incomplete line, for which there is room: a line end was read, or room reserved.
    mutating func endLine() {
        base.storeBytes(of: TextScan.lineFeed, toByteOffset: used, as: UInt8.self)
        used += 1
        lineStart = used
        lineCount += 1
        isDiscarding = false
    }

    /// Repairs the lines from `start` on that have just been completed.
    mutating func settle(from start: Int) {
        let lines = bytes(start, lineStart)
        let scan = TextScan(lines)
        guard scan.hasNonASCII else { return }
        isASCII = false
        guard !TextScan.isValidUTF8(lines) else { return }
        let repaired = repair(lines)
        let tail = used - lineStart
        let end = start + repaired.count
        reserve(max(0, end + tail - used))
        memoryMove(from: lineStart, to: end, count: tail)
        repaired.withUnsafeBytes { source in
            guard let address = source.baseAddress else { return }
            (base + start).copyMemory(from: address, byteCount: source.count)
        }
        lineStart = end
        used = end + tail
    }

    private mutating func repair(_ lines: UnsafeRawBufferPointer) -> [UInt8] {
        var repaired: [UInt8] = []
        repaired.reserveCapacity(lines.count + lines.count / 8)
        var start = 0
        while start < lines.count {
            let feed = lines[start...].firstIndex(of: TextScan.lineFeed)
            let end = feed.map { $0 + 1 } ?? lines.count
            let line = UnsafeRawBufferPointer(rebasing: lines[start..<end])
            if TextScan.isValidUTF8(line) {
                repaired += line
            } else {
                counters.invalidUTF8Lines += 1
                repaired += String(decoding: line, as: UTF8.self).utf8
            }
            start = end
        }
        return repaired
    }

    private func byte(_ index: Int) -> UInt8 {
        base.load(fromByteOffset: index, as: UInt8.self)
    }

    private func index(of byte: UInt8, _ start: Int, _ end: Int) -> Int {
        start + RawMemory.distance(to: byte, from: base + start, end: base + end)
    }
}
