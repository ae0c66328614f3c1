internal import Synchronization

extension DStreamGraph {
    /// What named operators and their parts are called.
    ///
    /// A user names the stream that an operator gives, while what it keeps may lie in streams that it
    /// made on the way.
    var partNames: [Int: (name: String, formerly: String?)] {
        var names: [Int: (name: String, formerly: String?)] = [:]
        for node in nodes {
            let settings = node.settings.withLock { $0 }
            guard let name = settings.name else { continue }
            var kept = 0
            for (place, part) in ([node] + node.partsOnTheWay).enumerated() {
                let former = settings.formerName.map { former in
                    former.number == nil ? former.ofPart(place) : former.numbered(lowerBy: kept)
                }
                names[part.number] = (name.ofPart(place), former)
                kept += part.isKept ? 1 : 0
            }
        }
        return names
    }
}

extension StreamNode {
    /// Whether checkpoints hold something of it.
    fileprivate var isKept: Bool {
        settings.withLock { $0.capture != nil || $0.elementCapture != nil }
    }

    /// The streams that the same call of an operator made on the way to this one, nearest first.
    fileprivate var partsOnTheWay: [StreamNode] {
        var parts: [StreamNode] = []
        var open = parents[...]
        while let part = open.popFirst() {
            guard part.site == site, part.name == nil, !parts.contains(where: { $0 === part }) else {
                continue
            }
            parts.append(part)
            open += part.parents
        }
        return parts
    }
}

extension String {
    /// What a part of the operator with this name is called.
    fileprivate func ofPart(_ place: Int) -> String { place == 0 ? self : "\(self) (part \(place))" }

    /// The name of the operator whose part has this one.
    var ofWholeOperator: String {
        guard hasSuffix(")"), let range = firstRange(of: " (part ") else { return self }
        return String(self[..<range.lowerBound])
    }

    /// The number at the end of the ``StatefulOperator/id`` of an operator without a name.
    fileprivate var number: Int? {
        lastIndex(of: "#").flatMap { Int(self[$0...].dropFirst()) }
    }

    /// The id of the part that was declared so many before the one with this id.
    fileprivate func numbered(lowerBy places: Int) -> String {
        guard let number, let mark = lastIndex(of: "#") else { return self }
        return "\(self[...mark])\(number - places)"
    }
}
